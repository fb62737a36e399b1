import { constants } from "node:fs";
import { access, readdir, readlink, rename, rm, stat, symlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { syncFolder } from "../../base/files/atomic-write.ts";
import { findClosest } from "../../base/text/closest.ts";
import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { parseJson as parseBounded } from "../../base/text/parse-json.ts";
import { readBounded } from "../../base/files/read-bounded.ts";
import { expectOwnPrograms, expectSafeForRoot } from "../../base/files/trusted-path.ts";
import type { ProfileValues } from "../../profiles/schema/schema.ts";

const line = z.string().regex(/^[\x20-\x7e]{1,400}$/, "not a line of plain text");

/** The manifest that `scripts/build-llama.sh` writes beside each build. llmctl uses no path from it. */
const manifestSchema = z.object({
  schema: z.literal(1),
  id: line,
  ref: line,
  commit: line,
  version: line,
  backend: line,
  portable: z.boolean(),
  date: z.iso.datetime(),
});

/** A manifest is well under 4 KiB; llmctl does not read a file above this size. */
const maxManifestBytes = 64 * 1024;

/** An installed build of llama.cpp. Paths are absolute. */
export interface Build {
  /** Name of its folder. */
  readonly id: string;
  /** Release or commit that it was built from. */
  readonly ref: string;
  readonly commit: string;
  /** The output of its `llama-server --version`. */
  readonly version: string;
  readonly backend: string;
  /** Built only with CPU instructions that other machines have, too. */
  readonly portable: boolean;
  readonly folder: string;
  readonly server: string;
  readonly cli: string;
  readonly current: boolean;
  readonly date: Date;
}

/** A folder among the builds that cannot be used. */
interface BrokenBuild {
  readonly id: string;
  readonly folder: string;
  readonly problem: string;
}

/** All builds, newest first. The broken ones are listed separately and do not affect the others. */
export interface Builds {
  readonly builds: readonly Build[];
  readonly broken: readonly BrokenBuild[];
}

/** The folder of installed builds; the build script's `--prefix`. */
export function buildsFolder(dataDir: string): string {
  return join(dataDir, "llama.cpp");
}

/** Reads the installed builds: none when there is no folder yet. */
export async function listBuilds(dataDir: string): Promise<Builds> {
  const folder = buildsFolder(dataDir);
  const current = await readLink(join(folder, "current"));
  const entries = await orUndefined(readdir(folder, { withFileTypes: true }));
  const ids = (entries ?? [])
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith("."))
    .map((entry) => entry.name);
  const found = await Promise.all(ids.map((id) => readBuild(join(folder, id), id === current)));
  const builds = found.filter((build): build is Build => !("problem" in build));
  return {
    builds: builds.toSorted((a, b) => b.date.getTime() - a.date.getTime()),
    broken: found.filter((build): build is BrokenBuild => "problem" in build),
  };
}

/** The build that a link names. */
async function readLink(path: string): Promise<string | undefined> {
  const target = await orUndefined(readlink(path), ["ENOENT", "EINVAL"]);
  return target === undefined ? undefined : basename(target);
}

async function orUndefined<T>(reading: Promise<T>, absent: readonly string[] = ["ENOENT"]): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (absent.includes(systemErrorCode(error) ?? "")) return undefined;
    throw error;
  }
}

async function readBuild(folder: string, current: boolean): Promise<Build | BrokenBuild> {
  const id = basename(folder);
  const server = join(folder, "bin/llama-server");
  try {
    const { date, ...manifest } = await readManifest(join(folder, "manifest.json"));
    if (manifest.id !== id) throw new Error(`its manifest.json belongs to build "${manifest.id}"`);
    await access(server, constants.X_OK);
    const { ref, commit, version, backend, portable } = manifest;
    return {
      id,
      ref,
      commit,
      version,
      backend,
      portable,
      folder,
      server,
      cli: join(folder, "bin/llama-cli"),
      current,
      date: new Date(date),
    };
  } catch (error) {
    return { id, folder, problem: error instanceof Error ? error.message : String(error) };
  }
}

async function readManifest(path: string): Promise<z.infer<typeof manifestSchema>> {
  const { size } = await stat(path);
  const text = await readBounded(path, maxManifestBytes);
  if (text === undefined) throw new Error(`manifest.json has ${size} bytes, too many for a manifest`);
  const result = manifestSchema.safeParse(parseJson(text));
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new Error(`manifest.json: ${[issue?.path.join("."), issue?.message].filter(Boolean).join(": ")}`);
}

function parseJson(text: string): unknown {
  try {
    return parseBounded(text);
  } catch (cause) {
    throw new Error("manifest.json is not JSON", { cause });
  }
}

/** The llama-server of a build or a profile; nothing has checked its file yet. */
export interface FoundServer {
  readonly server: string;
  /** The llama-cli in the same folder; undefined when there is none. */
  readonly cli: string | undefined;
  /** For people: the build, or the path of the user's own binary. */
  readonly label: string;
}

/**
 * The llama-server that a profile wants: its own `binary`, else its `build`, else the current build.
 * @param at The place of the key `llama` in the profile.
 * @throws LlmctlError `build-missing` when no build is installed or current, `build-unknown` when no installed build
 *   has the name; `foreign-folder` (77).
 */
export async function findServer(llama: ProfileValues["llama"], dataDir: string, at: string): Promise<FoundServer> {
  // Every caller then runs the binary, at least for its version.
  expectOwnPrograms();
  if (llama.binary !== undefined) {
    const cli = join(dirname(llama.binary), "llama-cli");
    return {
      server: llama.binary,
      cli: (await orUndefined(stat(cli), ["ENOENT", "ENOTDIR", "EACCES"])) && cli,
      label: llama.binary,
    };
  }
  const installed = await listBuilds(dataDir);
  const build = llama.build === undefined ? pickCurrent(installed, at) : pickBuild(installed, llama.build, at);
  return {
    server: build.server,
    cli: build.cli,
    label: `llama.cpp ${build.ref} (${build.backend}${build.portable ? ", portable" : ""})`,
  };
}

function pickCurrent({ builds }: Builds, at: string): Build {
  const current = builds.find((build) => build.current);
  if (current !== undefined) return current;
  const [newest] = builds;
  if (newest === undefined) {
    throw new LlmctlError("build-missing", "no build of llama.cpp is installed", {
      exit: "missingFile",
      at,
      fix: { run: ["build"] },
    });
  }
  const fix = { run: ["build", "--use", newest.id] };
  throw new LlmctlError("build-missing", "no build of llama.cpp is the current one", { exit: "missingFile", at, fix });
}

/** Finds a build by id, else by ref. Of several builds of one ref the current one comes first, then the newest. */
function pickBuild({ builds, broken }: Builds, name: string, at: string): Build {
  const matching = builds.filter((build) => build.id === name || build.ref === name);
  const build = matching.find((one) => one.id === name) ?? matching.find((one) => one.current) ?? matching[0];
  if (build !== undefined) return build;
  const unusable = broken.find(({ id }) => id === name);
  if (unusable !== undefined) {
    const fix = { before: `delete "${unusable.folder}", then run`, run: ["build"] };
    throw new LlmctlError("build-broken", `build "${name}" cannot be used: ${unusable.problem}`, {
      exit: "missingFile",
      at,
      fix,
    });
  }
  throw unknownBuild(builds, name, at);
}

function unknownBuild(builds: readonly Build[], name: string, at: string): LlmctlError {
  const known = [...new Set(builds.flatMap(({ id, ref }) => [ref, id]))];
  const near = findClosest(name, known);
  const installed = builds.length === 0 ? "none is" : builds.map(({ id }) => id).join(", ");
  return new LlmctlError("build-unknown", `no build "${name}" of llama.cpp is installed; installed: ${installed}`, {
    exit: "missingFile",
    at,
    fix: {
      ...(near === undefined ? {} : { before: `did you mean "${near}"? if not, run` }),
      run: ["build", "--ref", name],
    },
  });
}

/**
 * Makes an installed build the current one, and links the one that was current before as `previous`.
 * @param name Its id or ref.
 * @param at The option or place that gave the name.
 * @throws LlmctlError as findServer.
 */
export async function useBuild(name: string, dataDir: string, at = "--use"): Promise<Build> {
  const build = pickBuild(await listBuilds(dataDir), name, at);
  await makeCurrent(build.id, dataDir);
  return { ...build, current: true };
}

/**
 * Makes the previous build the current one again. A second call changes back.
 * @throws LlmctlError `build-missing` when no earlier build is known, `build-unknown` or `build-broken` when it is
 *   gone.
 */
export async function useBuildBefore(dataDir: string): Promise<Build> {
  const folder = buildsFolder(dataDir);
  const before = await readLink(join(folder, "previous"));
  if (before === undefined || before === (await readLink(join(folder, "current")))) {
    const fix = {
      before: "see",
      run: ["build", "--list"],
      after: "for the installed builds, then name one with --use",
    };
    throw new LlmctlError("build-missing", "no earlier current build is known", {
      exit: "missingFile",
      at: folder,
      fix,
    });
  }
  return useBuild(before, dataDir, "--rollback");
}

/**
 * A crash between the two links leaves the old build current and also linked as the previous one, which
 * {@link useBuildBefore} reads as "no previous build".
 */
async function makeCurrent(id: string, dataDir: string): Promise<void> {
  const folder = buildsFolder(dataDir);
  const before = await readLink(join(folder, "current"));
  if (before === id) return;
  if (before !== undefined) await setLink(join(folder, "previous"), before);
  await setLink(join(folder, "current"), id);
}

/** Atomic: a reader sees the old link or the new one, also after a crash. */
async function setLink(path: string, target: string): Promise<void> {
  expectSafeForRoot(dirname(path));
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}`);
  await rm(temporary, { force: true });
  await symlink(target, temporary);
  await rename(temporary, path);
  await syncFolder(dirname(path));
}
