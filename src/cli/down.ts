import { LlmctlError } from "../base/errors.ts";
import { findPaths, type Paths } from "../base/paths.ts";
import { requestStop } from "../control/client.ts";
import { findAnswering } from "../supervisor/find-supervisor.ts";
import { listRunningDependencies } from "./profile-states.ts";
import { findDependents, stopOrder } from "./stop-order.ts";

interface DownOptions {
  /** All that run, in place of names. */
  readonly all: boolean;
  /** Without waiting for running requests. */
  readonly now: boolean;
}

/**
 * Stops profiles, each after those that depend on it; returns when their servers are gone.
 * @throws LlmctlError `needed` when another running profile depends on one of them, `not-running`, `orphan-stuck`, `overruled` by somebody
 *   else's restart.
 * @returns the exit code, of several the first that is not 0.
 */
export async function down(names: readonly string[], { all, now }: DownOptions): Promise<number> {
  const paths = findPaths();
  const dependencies = await listRunningDependencies(paths);
  const wanted = all ? [...dependencies.keys()] : names;
  if (wanted.length === 0) process.stdout.write("nothing is running\n");
  const dependents = findDependents(wanted, dependencies);
  if (dependents.length > 0) throw needed(wanted, dependents);
  const [only] = wanted;
  if (wanted.length === 1 && only !== undefined) return stopProfile(only, paths, now);
  const codes: number[] = [];
  for (const group of stopOrder(wanted, dependencies)) {
    codes.push(...(await Promise.all(group.map((name) => stopOrReport(name, paths, now)))));
  }
  return codes.find((code) => code !== 0) ?? 0;
}

/** One that cannot be stopped must not keep the others running. */
async function stopOrReport(name: string, paths: Paths, now: boolean): Promise<number> {
  try {
    return await stopProfile(name, paths, now);
  } catch (error) {
    const { reportError } = await import("./report-error.ts");
    return reportError(error);
  }
}

async function stopProfile(name: string, paths: Paths, force: boolean): Promise<number> {
  // Asked first: a stop has no time limit of its own, and a supervisor that does not answer would be waited for in vain.
  const running = await findAnswering(paths, name);
  if (running !== undefined && (await requestStop(running.socketPath, force)) !== undefined) {
    process.stdout.write(`stopped "${name}"\n`);
    return 0;
  }
  // Loaded only where no supervisor has answered: the usual `down` need not wait for it.
  const { endOrphan, findOrphan } = await import("../supervisor/orphan.ts");
  const orphan = await findOrphan(paths, name);
  if (orphan === undefined) throw notRunning(name);
  await endOrphan(orphan, name, { now: force });
  process.stdout.write(`stopped "${name}": its supervisor was gone, the server (pid ${orphan.identity.pid}) was still there\n`);
  return 0;
}

/** The error of every command that acts on a running profile. */
export function notRunning(name: string): LlmctlError {
  return new LlmctlError("not-running", `"${name}" is not running`, {
    exit: "notRunning",
    fix: { before: "see", run: ["ps"], after: "for what runs" },
  });
}

function needed(names: readonly string[], dependents: readonly string[]): LlmctlError {
  const quoted = (list: readonly string[]) => list.map((name) => `"${name}"`).join(", ");
  return new LlmctlError(
    "needed",
    `${quoted(dependents)} ${dependents.length === 1 ? "runs and depends" : "run and depend"} on ${quoted(names)}`,
    {
      exit: "busy",
      fix: { before: "stop all of them:", run: ["down", ...dependents, ...names] },
    },
  );
}
