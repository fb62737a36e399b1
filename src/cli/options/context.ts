import { joinErrors, LlmctlError } from "../../base/errors.ts";
import { findPaths, type Paths } from "../../base/files/paths.ts";
import { type LoadOptions, loadProfile, type ParsedFiles } from "../../profiles/load.ts";
import { profileFolders } from "../../profiles/find.ts";
import type { Profile } from "../../profiles/schema/schema.ts";

/**
 * Loads and checks the profile that the user named.
 * @param parsed Files that were parsed for other profiles; see `LoadOptions`.
 * @throws LlmctlError with every problem of it.
 */
export async function openProfile(
  nameOrPath: string,
  paths: Paths = findPaths(),
  parsed: ParsedFiles = new Map(),
): Promise<Profile> {
  return loadProfile(nameOrPath, { ...findLoadOptions(paths), parsed });
}

/** Loads and checks several profiles. @throws LlmctlError with every problem of all of them. */
export async function openProfiles(namesOrPaths: readonly string[], paths: Paths): Promise<Profile[]> {
  const opened = await Promise.all(namesOrPaths.map((name) => openProfile(name, paths).catch(asKnown)));
  const [first, ...more] = opened.filter((one) => one instanceof LlmctlError);
  if (first !== undefined) throw joinErrors(first, more);
  return opened.flatMap((one) => (one instanceof LlmctlError ? [] : [one]));
}

function asKnown(error: unknown): LlmctlError {
  if (error instanceof LlmctlError) return error;
  throw error;
}

/** Where this process looks for profiles, and the environment that they may refer to. */
export function findLoadOptions(paths: Paths = findPaths()): LoadOptions {
  return { folders: profileFolders({ paths, cwd: process.cwd() }), env: process.env };
}
