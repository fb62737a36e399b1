import { exitCodes } from "../base/exit-codes.ts";
import { LlmctlError } from "../base/errors.ts";
import { findPaths, type Paths } from "../base/paths.ts";
import { loadInOrder } from "../profiles/dependencies.ts";
import { listOwnNames } from "../profiles/find.ts";
import { isTemplate } from "../profiles/load.ts";
import type { Profile } from "../profiles/schema.ts";
import { findLoadOptions } from "./context.ts";
import { formatProblem, reportError } from "./report-error.ts";
import { startProfile, type StartOptions } from "./start-profile.ts";

interface UpOptions extends Omit<StartOptions, "paths"> {
  /** All profiles that people wrote, in place of names. */
  readonly all: boolean;
}

/**
 * Starts profiles, after what they depend on, and waits until they are ready; safe to repeat. One at a time: they read the same disk, and a
 * server that fits itself to the free memory must not count what another is just taking. What others depend on runs on in the background.
 * @returns the exit code, of several the first that is not 0.
 */
export async function up(namesOrPaths: readonly string[], { all, ...options }: UpOptions): Promise<number> {
  const paths = findPaths();
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
    codes.set(profile.name, findUnready(profile, codes) ?? (await startOrReport(profile, { ...options, paths, detach })));
  }
  return [...codes.values()].find((code) => code !== 0) ?? 0;
}

/** @returns the exit code of what it depends on that is not ready, after saying so; undefined when all are. */
function findUnready({ name, values }: Profile, codes: ReadonlyMap<string, number>): number | undefined {
  const missing = values.depends_on.find((dependency) => codes.get(dependency) !== 0);
  if (missing === undefined) return undefined;
  process.stderr.write(`${formatProblem({ message: `"${name}" is not started: it depends on "${missing}", which is not ready` })}\n`);
  return codes.get(missing) ?? exitCodes.failed.code;
}

/** One that fails must not keep the others from being started. */
async function startOrReport(profile: Profile, options: StartOptions): Promise<number> {
  try {
    return await startProfile(profile, options);
  } catch (error) {
    return reportError(error);
  }
}

async function listAll(paths: Paths): Promise<readonly string[]> {
  const options = findLoadOptions(paths);
  const names: string[] = [];
  for (const name of await listOwnNames(options.folders)) if (!(await isTemplate(name, options))) names.push(name);
  if (names.length > 0) return names;
  throw new LlmctlError("no-profiles", "there are no profiles of your own; those of the package are started by name only", {
    exit: "config",
    at: `searched ${options.folders.join(", ")}`,
    fix: { before: "see", run: ["profile", "list"] },
  });
}

function notInForeground(): LlmctlError {
  return new LlmctlError("not-in-foreground", "several profiles run in the background only: each has a supervisor of its own", {
    exit: "usage",
    fix: "add -d",
  });
}
