import { findPaths, type Paths } from "../base/paths.ts";
import { type LoadOptions, loadProfile, type ParsedFiles } from "../profiles/load.ts";
import { profileFolders } from "../profiles/find.ts";
import type { Profile } from "../profiles/schema.ts";

/**
 * Loads and checks the profile that the user named.
 * @param parsed What was parsed for others; see `LoadOptions`.
 * @throws LlmctlError with every problem of it.
 */
export async function openProfile(nameOrPath: string, paths: Paths = findPaths(), parsed: ParsedFiles = new Map()): Promise<Profile> {
  return loadProfile(nameOrPath, { ...findLoadOptions(paths), parsed });
}

/** Where this process looks for profiles, and what they may refer to. */
export function findLoadOptions(paths: Paths = findPaths()): LoadOptions {
  return { folders: profileFolders({ paths, cwd: process.cwd() }), env: process.env };
}
