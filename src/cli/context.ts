import { findPaths, type Paths } from "../base/paths.ts";
import { loadProfile } from "../profiles/load.ts";
import { profileFolders } from "../profiles/find.ts";
import type { Profile } from "../profiles/schema.ts";

/** Loads and checks the profile that the user named. @throws LlmctlError with every problem of it. */
export async function openProfile(nameOrPath: string, paths: Paths = findPaths()): Promise<Profile> {
  return loadProfile(nameOrPath, { folders: profileFolders({ paths, cwd: process.cwd() }), env: process.env });
}
