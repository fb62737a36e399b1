import { exitCodes, type ExitName } from "../../base/exit-codes.ts";
import { exitCodeOf, LlmctlError } from "../../base/errors.ts";
import { loadInOrder } from "../../profiles/dependencies.ts";
import { listOwnNames } from "../../profiles/find.ts";
import { isTemplate, type LoadOptions } from "../../profiles/load.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import { isService } from "../../services/notify.ts";
import { noteFailedStart } from "./note-failed-start.ts";
import { startProfile, type StartOptions } from "./start-profile.ts";

interface StartSeveralOptions extends StartOptions {
  /** All profiles that people wrote, in place of names. */
  readonly all: boolean;
  /** Where profiles are looked for. */
  readonly load: LoadOptions;
  /** Told what cannot be recorded of a start that failed. */
  readonly warn: (text: string) => void;
  /** Starts one of them. */
  readonly start?: typeof startProfile;
}

/**
 * Starts profiles, after what they depend on, and waits until they are ready; safe to repeat. One at a time: they read
 * the same disk, and a server that fits itself to the free memory must not count memory that another one is about to
 * take. Dependencies run on in the background.
 * @returns the exit code; of several profiles, the first that is not 0.
 * @throws LlmctlError of a single profile, and of the one that runs in this process.
 */
export async function startProfiles(namesOrPaths: readonly string[], options: StartSeveralOptions): Promise<number> {
  const { env, host, paths, warn } = options;
  const [nameOrPath] = namesOrPaths;
  const isWatched = nameOrPath === undefined || host.runHere === undefined || !isService(env);
  if (isWatched) return startInOrder(namesOrPaths, options);
  return noteFailedStart(nameOrPath, { paths, warn }, () => startInOrder(namesOrPaths, options));
}

async function startInOrder(
  namesOrPaths: readonly string[],
  { all, load, start = startProfile, ...options }: StartSeveralOptions,
): Promise<number> {
  const { host } = options;
  const asked = all ? await listAll(load) : namesOrPaths;
  if (asked.length > 1 && host.runHere !== undefined) throw notInForeground();
  const profiles = await loadInOrder(asked, load);
  // The failure of a single profile is thrown, and its host sees no heading. The profile that runs in this process, and
  // that Ctrl-C is for, comes last.
  const [only] = profiles;
  if (profiles.length === 1 && only !== undefined) return start(only, options);
  const { runHere: _, ...background } = host;
  const codes = new Map<string, number>();
  for (const [index, profile] of profiles.entries()) {
    host.onEvent({ kind: "profile", name: profile.name, isFirst: index === 0 });
    const isLast = index === profiles.length - 1;
    const own = { ...options, host: isLast ? host : background };
    codes.set(profile.name, await startOrReport(profile, codes, { ...own, start }));
  }
  return [...codes.values()].find((code) => code !== 0) ?? 0;
}

/** @throws LlmctlError `dependency-not-ready`, with the exit code of the dependency. */
function expectReady({ name, values }: Profile, codes: ReadonlyMap<string, number>): void {
  const missing = values.depends_on.find((dependency) => codes.get(dependency) !== 0);
  if (missing === undefined) return;
  throw new LlmctlError(
    "dependency-not-ready",
    `"${name}" is not started: it depends on "${missing}", which is not ready`,
    {
      exit: findExitName(codes.get(missing)),
    },
  );
}

function findExitName(code: number | undefined): ExitName {
  return (Object.keys(exitCodes) as ExitName[]).find((name) => exitCodes[name].code === code) ?? "failed";
}

/** One that fails must not keep the others from being started. The one that runs here comes last, and may throw. */
async function startOrReport(
  profile: Profile,
  codes: ReadonlyMap<string, number>,
  { start, ...options }: StartOptions & { readonly start: typeof startProfile },
): Promise<number> {
  const { host } = options;
  const isDetached = host.runHere === undefined;
  let held: { close(): void } | undefined;
  try {
    expectReady(profile, codes);
    if (isDetached) held = host.holdStart?.(`starting "${profile.name}", which it depends on`);
    return await start(profile, options);
  } catch (error) {
    if (!isDetached) throw error;
    host.onEvent({ kind: "error", error });
    return exitCodeOf(error);
  } finally {
    held?.close();
  }
}

async function listAll(load: LoadOptions): Promise<readonly string[]> {
  const names: string[] = [];
  for (const name of await listOwnNames(load.folders)) if (!(await isTemplate(name, load))) names.push(name);
  if (names.length > 0) return names;
  throw new LlmctlError(
    "no-profiles",
    "there are no profiles of your own; those of the package are started by name only",
    {
      exit: "config",
      at: `searched ${load.folders.join(", ")}`,
      fix: { before: "see", run: ["profile", "list"] },
    },
  );
}

function notInForeground(): LlmctlError {
  return new LlmctlError(
    "not-in-foreground",
    "several profiles run in the background only: each has a supervisor of its own",
    {
      exit: "usage",
      fix: "add -d",
    },
  );
}
