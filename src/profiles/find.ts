import { open, readdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { findClosest } from "../base/text/closest.ts";
import { LlmctlError, systemErrorCode } from "../base/errors.ts";
import { packageFolder } from "../base/package-folder.ts";
import type { Paths } from "../base/files/paths.ts";
import { profileNamePattern } from "../base/text/profile-name.ts";
import { quote } from "./yaml/quote-value.ts";
import { readYaml } from "./yaml/read-yaml.ts";
import { makeSource, type SourceText } from "./yaml/located.ts";

const endings = [".yaml", ".yml"];
const maxBytes = 2 ** 20;
const shippedFolder = join(packageFolder, "profiles");

/** One profile file in a search folder. */
export interface ListedProfile {
  readonly name: string;
  /** Absolute when the folder is. */
  readonly path: string;
  readonly description?: string;
  /** Path of the file with the same name that is found first. */
  readonly shadowedBy?: string;
  /** Why the file is not valid YAML; its keys are not checked here. */
  readonly problem?: string;
}

/**
 * The search folders of profiles, first match wins: of the project, of the user, of the system, then of the package.
 */
export function profileFolders(options: {
  readonly paths: Pick<Paths, "config">;
  readonly cwd: string;
}): readonly string[] {
  const folders = [resolve(options.cwd, "profiles"), join(options.paths.config, "profiles"), "/etc/llmctl/profiles"];
  // In the package's own folder, the shipped profiles are also those of the working directory; the user's own come
  // first there, too.
  return [...folders.filter((folder) => folder !== shippedFolder), shippedFolder];
}

/** Whether a file is part of the package; an upgrade replaces it. */
export function isShipped(path: string): boolean {
  return dirname(path) === shippedFolder;
}

/** Names of all profiles except the shipped ones; their content is not checked. */
export async function listOwnNames(folders: readonly string[]): Promise<string[]> {
  const files = await Promise.all(folders.filter((folder) => folder !== shippedFolder).map(profileFiles));
  return [...new Set(files.flat().map(profileName))].toSorted();
}

/** Whether the user gave a file and not a name. */
function isProfilePath(nameOrPath: string): boolean {
  return nameOrPath.includes("/") || endings.some((ending) => nameOrPath.endsWith(ending));
}

/**
 * The file that a name or a path stands for; a path is not checked yet.
 * @throws LlmctlError `profile-unknown`, `profile-name`
 */
export async function findProfile(nameOrPath: string, folders: readonly string[], cwd: string): Promise<SourceText> {
  if (!isProfilePath(nameOrPath)) {
    const path = (await findAll(checkName(nameOrPath), folders))[0];
    if (path === undefined) throw await unknownProfile(nameOrPath, folders);
    return makeSource(nameOrPath, path, cwd);
  }
  const path = resolve(cwd, nameOrPath);
  return makeSource(checkName(profileName(path), path), path, cwd);
}

/** All files of that name, in search order. */
export async function findAll(name: string, folders: readonly string[]): Promise<string[]> {
  const candidates = folders.flatMap((folder) => endings.map((ending) => join(folder, name + ending)));
  const there = await Promise.all(candidates.map(isThere));
  return candidates.filter((_, index) => there[index]);
}

/** The name of every profile in the folders; no file is read. */
export async function listProfileNames(folders: readonly string[]): Promise<string[]> {
  const files = await Promise.all(folders.map(profileFiles));
  return [...new Set(files.flat().map(profileName))].toSorted();
}

/** All profiles in the folders, by name. It reads the description of each file and checks nothing else. */
export async function listProfiles(folders: readonly string[]): Promise<ListedProfile[]> {
  const listed = new Map<string, string>();
  const profiles: ListedProfile[] = [];
  for (const folder of folders) {
    for (const path of await profileFiles(folder)) {
      const name = profileName(path);
      const shadowedBy = listed.get(name);
      if (shadowedBy === undefined) listed.set(name, path);
      profiles.push({
        name,
        path,
        ...(await describe(name, path)),
        ...(shadowedBy === undefined ? {} : { shadowedBy }),
      });
    }
  }
  return profiles.toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

/**
 * Reads a profile's text.
 * @throws LlmctlError `profile-unknown` (no such file), `profile-unreadable` (no permission, not a file) or
 *   `profile-invalid` (over 1 MiB, binary, not UTF-8)
 */
export async function readProfileText(source: SourceText): Promise<string> {
  const bytes = await readLimited(source);
  const invalid = (what: string) =>
    new LlmctlError("profile-invalid", `profile ${quote(source.name)} ${what}`, { exit: "config", at: source.shown });
  if (bytes.length > maxBytes) throw invalid("is larger than 1 MiB");
  if (bytes.includes(0)) throw invalid("is not a text file: it holds NUL bytes");
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) throw invalid("is not UTF-8 text");
    throw error;
  }
}

/** Reads at most one byte more than the limit. */
async function readLimited(source: SourceText): Promise<Uint8Array> {
  try {
    // Checked before opening, since opening a FIFO waits for a writer.
    if (!(await stat(source.path)).isFile()) throw unreadable(source, "is not a regular file");
    const file = await open(source.path);
    try {
      const buffer = Buffer.allocUnsafe(maxBytes + 1); // only the bytes that were read are used
      let length = 0;
      for (let read = -1; read !== 0 && length < buffer.length; length += read) {
        read = (await file.read(buffer, length, buffer.length - length)).bytesRead;
      }
      return buffer.subarray(0, length);
    } finally {
      await file.close();
    }
  } catch (error) {
    const code = systemErrorCode(error);
    if (error instanceof LlmctlError || code === undefined) throw error;
    if (code === "ENOENT")
      throw new LlmctlError("profile-unknown", `there is no profile file ${quote(source.shown)}`, {
        exit: "config",
        at: source.path,
      });
    throw unreadable(source, `cannot be read (${code})`, error);
  }
}

function unreadable(source: SourceText, what: string, cause?: unknown): LlmctlError {
  const exit = ["EACCES", "EPERM"].includes(systemErrorCode(cause) ?? "") ? "permission" : "config";
  return new LlmctlError("profile-unreadable", `profile ${quote(source.name)} ${what}`, {
    exit,
    at: source.path,
    cause,
  });
}

/** The error for a name that no folder has; it suggests the nearest one. */
export async function unknownProfile(name: string, folders: readonly string[]): Promise<LlmctlError> {
  const known = await listProfileNames(folders);
  const near = findClosest(name, known);
  const there = known.length === 0 ? "there are no profiles" : `there are: ${known.join(", ")}`;
  const fix = near === undefined ? there : `did you mean ${quote(near)}? ${there}`;
  return new LlmctlError("profile-unknown", `there is no profile ${quote(name)}`, {
    exit: "config",
    at: `searched ${folders.join(", ")}`,
    fix,
  });
}

function checkName(name: string, at?: string): string {
  if (profileNamePattern.test(name)) return name;
  throw new LlmctlError("profile-name", `${quote(name)} cannot be a profile's name`, {
    exit: "config",
    ...(at === undefined ? {} : { at }),
    fix: "use 1 to 64 of a-z, 0-9, dot, dash and underscore, and start with a letter or a digit",
  });
}

/** The name of the profile that a file holds. */
export function profileName(path: string): string {
  return basename(path).replace(/\.ya?ml$/, "");
}

async function profileFiles(folder: string): Promise<string[]> {
  const names = await unlessMissing(readdir(folder), []);
  const fits = (name: string) =>
    endings.some((ending) => name.endsWith(ending)) && profileNamePattern.test(profileName(name));
  return names
    .filter(fits)
    .toSorted()
    .map((name) => join(folder, name));
}

async function describe(name: string, path: string): Promise<Pick<ListedProfile, "description" | "problem">> {
  try {
    const source = makeSource(name, path, dirname(path));
    const { root, findings } = readYaml(await readProfileText(source), source);
    const value = root.entries.get("description")?.value;
    if (findings[0]) return { problem: findings[0].message };
    return value?.kind === "scalar" && typeof value.value === "string" ? { description: value.value } : {};
  } catch (error) {
    if (error instanceof LlmctlError) return { problem: error.message };
    throw error;
  }
}

/** A missing folder or file, or one that this user may not read, holds no profile. */
async function unlessMissing<T>(action: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await action;
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "EACCES"].includes(systemErrorCode(error) ?? "")) return otherwise;
    throw error;
  }
}

async function isThere(path: string): Promise<boolean> {
  return (await unlessMissing(stat(path), undefined)) !== undefined;
}
