import { resolve } from "node:path";
import { exitCodes, type ExitName } from "../../base/exit-codes.ts";
import { LlmctlError } from "../../base/errors.ts";
import { findPaths, type Paths } from "../../base/files/paths.ts";
import { printableSentence } from "../../base/text/printable.ts";
import { explainPlanFailure } from "../../llama/plan/plan-failure.ts";
import { loadInOrder } from "../../profiles/dependencies.ts";
import { listOwnNames, profileName } from "../../profiles/find.ts";
import { profileNamePattern } from "../../base/text/profile-name.ts";
import { isTemplate } from "../../profiles/load.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import { recordFailedStart } from "../../supervisor/failed-start.ts";
import type { ExitCause } from "../../supervisor/launch.ts";
import { isService } from "../../services/notify.ts";
import { findLoadOptions } from "../../cli/options/context.ts";
import { reportError } from "../../cli/screen/report-error.ts";
import { startProfile, type StartOptions } from "./start-profile.ts";
import { holdStart } from "../../cli/run/systemd-reporter.ts";

interface UpOptions extends Omit<StartOptions, "paths"> {
  /** All profiles that people wrote, in place of names. */
  readonly all: boolean;
}

/**
 * Starts profiles, after what they depend on, and waits until they are ready; safe to repeat. One at a time: they read
 * the same disk, and a server that fits itself to the free memory must not count what another is just taking. What
 * others depend on runs on in the background.
 * @returns the exit code, of several the first that is not 0.
 */
export async function up(namesOrPaths: readonly string[], options: UpOptions): Promise<number> {
  const paths = findPaths();
  const [nameOrPath] = namesOrPaths;
  if (nameOrPath === undefined || options.detach || !isService(process.env)) return start(namesOrPaths, options, paths);
  // Of a start that nobody watches `systemd status` and `events` must be able to tell how it failed.
  return noteFailure(nameOrPath, paths, () => start(namesOrPaths, options, paths));
}

async function start(namesOrPaths: readonly string[], { all, ...options }: UpOptions, paths: Paths): Promise<number> {
  const asked = all ? await listAll(paths) : namesOrPaths;
  if (asked.length > 1 && !options.detach) throw notInForeground();
  const profiles = await loadInOrder(asked, findLoadOptions(paths));
  // Alone, a failure is for main.ts to tell; and Ctrl-C is for the one profile that runs here, which comes last.
  const [only] = profiles;
  if (profiles.length === 1 && only !== undefined) return startProfile(only, { ...options, paths });
  const codes = new Map<string, number>();
  for (const [index, profile] of profiles.entries()) {
    process.stdout.write(`${index === 0 ? "" : "\n"}${profile.name}\n`);
    const detach = options.detach || index < profiles.length - 1;
    codes.set(profile.name, await startOrReport(profile, codes, { ...options, paths, detach }));
  }
  return [...codes.values()].find((code) => code !== 0) ?? 0;
}

/** @throws LlmctlError `dependency-not-ready`, with the exit code of what it depends on. */
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

/**
 * One that fails must not keep the others from being started; a failure of the one that runs here comes last, and is
 * for main.ts to tell.
 */
async function startOrReport(
  profile: Profile,
  codes: ReadonlyMap<string, number>,
  options: StartOptions,
): Promise<number> {
  const held = holdStart(process.env);
  try {
    expectReady(profile, codes);
    if (options.detach) held.status(`starting "${profile.name}", which it depends on`);
    return await startProfile(profile, options);
  } catch (error) {
    if (!options.detach) throw error;
    return reportError(error);
  } finally {
    held.close();
  }
}

/** @throws what the action throws. */
async function noteFailure<T>(nameOrPath: string, paths: Paths, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    const name = profileName(nameOrPath);
    if (!profileNamePattern.test(name)) throw error;
    const warn = (text: string) => process.stderr.write(`llmctl: warning: ${printableSentence(text)}\n`);
    try {
      await recordFailedStart(
        paths,
        { name, profilePath: resolve(nameOrPath), cause: explainFailedStart(error) },
        warn,
      );
    } catch (unrecorded) {
      warn(`cannot note that "${name}" did not start: ${String(unrecorded)}`);
    }
    throw error;
  }
}

function explainFailedStart(error: unknown): ExitCause {
  const cause = explainPlanFailure(error) ?? {
    kind: "internal-error",
    message: String(error),
    permanent: true,
    exit: "bug",
  };
  if (!(error instanceof LlmctlError)) return cause;
  const more = error.problems.length - 1;
  const place = error.at === undefined ? "" : ` (${error.at})`;
  return { ...cause, message: `${cause.message}${place}${more === 0 ? "" : `, and ${more} more`}` };
}

async function listAll(paths: Paths): Promise<readonly string[]> {
  const options = findLoadOptions(paths);
  const names: string[] = [];
  for (const name of await listOwnNames(options.folders)) if (!(await isTemplate(name, options))) names.push(name);
  if (names.length > 0) return names;
  throw new LlmctlError(
    "no-profiles",
    "there are no profiles of your own; those of the package are started by name only",
    {
      exit: "config",
      at: `searched ${options.folders.join(", ")}`,
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
