import { findPaths, type Paths } from "../base/paths.ts";
import { type LoadOptions, loadProfile } from "../profiles/load.ts";
import { profileFolders } from "../profiles/find.ts";
import type { Profile } from "../profiles/schema.ts";

/** Loads and checks the profile that the user named. @throws LlmctlError with every problem of it. */
export async function openProfile(nameOrPath: string, paths: Paths = findPaths()): Promise<Profile> {
  return loadProfile(nameOrPath, findLoadOptions(paths));
}

/** Where this process looks for profiles, and what they may refer to. */
export function findLoadOptions(paths: Paths = findPaths()): LoadOptions {
  return { folders: profileFolders({ paths, cwd: process.cwd() }), env: process.env };
}
