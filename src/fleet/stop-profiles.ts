import { setTimeout as sleep } from "node:timers/promises";
import { LlmctlError } from "../base/errors.ts";
import { findPaths, type Paths } from "../base/files/paths.ts";
import { requestStop } from "../control/client.ts";
import { expectProfileName } from "../base/text/profile-name.ts";
import { findAnswering } from "../supervisor/state/find-supervisor.ts";
import { listRunningDependencies } from "../supervisor/state/profile-states.ts";
import { findDependents, stopOrder } from "./stop-order.ts";

/** A supervisor that has said its last word exits within milliseconds; on a loaded machine that may be a second. */
const lookEveryMs = 50;
const mostLooks = 100;

interface DownOptions {
  /** All that run, in place of names. */
  readonly all: boolean;
  /** Without waiting for running requests. */
  readonly now: boolean;
}

/**
 * Stops profiles, each after those that depend on it; returns when their servers are gone.
 * @throws LlmctlError `needed` when another running profile depends on one of them, `not-running`, `orphan-stuck`,
 *   `overruled` by somebody else's restart.
 * @returns the exit code, of several the first that is not 0.
 */
export async function down(names: readonly string[], { all, now }: DownOptions): Promise<number> {
  for (const name of names) expectProfileName(name);
  const paths = findPaths();
  const dependencies = await listRunningDependencies(paths);
  const wanted = all ? [...new Set([...dependencies.keys(), ...(await listPausedUnits())])] : names;
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
    const { reportError } = await import("../cli/screen/report-error.ts");
    return reportError(error);
  }
}

async function stopProfile(name: string, paths: Paths, force: boolean): Promise<number> {
  // Asked first: a stop has no time limit of its own, and a supervisor that does not answer would be waited for in
  // vain.
  const running = await findAnswering(paths, name);
  if (running !== undefined && (await requestStop(running.socketPath, force)) !== undefined) {
    await endUnit(name, running.status.supervisorPid);
    process.stdout.write(`stopped "${name}"\n`);
    return 0;
  }
  // Loaded only where no supervisor has answered: the usual `down` need not wait for it.
  const { endOrphan, findOrphan } = await import("../supervisor/state/orphan.ts");
  const orphan = await findOrphan(paths, name);
  if (orphan === undefined) return endPausedUnit(name, paths);
  await endOrphan(orphan, name, { now: force });
  await endUnit(name, 0);
  process.stdout.write(
    `stopped "${name}": its supervisor was gone, the server (pid ${orphan.identity.pid}) was still there\n`,
  );
  return 0;
}

/**
 * Ends the unit whose supervisor has just been stopped, should it still be there: one that was written by an older
 * version would start it again. The user of a machine's service may not; its own exit code keeps it from coming back.
 * @param endingPid The supervisor, which is on its way out with that exit code.
 * @throws LlmctlError `systemctl-failed`
 */
async function endUnit(name: string, endingPid: number): Promise<void> {
  const { findLiveUnit, stopUnit } = await import("../services/unit-files.ts");
  let live = await findLiveUnit(name);
  for (let tries = 0; live?.mainPid === endingPid && tries < mostLooks; tries += 1) {
    await sleep(lookEveryMs);
    live = await findLiveUnit(name);
  }
  if (live !== undefined && (live.scope === "user" || process.getuid?.() === 0)) await stopUnit(live);
}

/**
 * Between two starts of a unit nothing runs, but systemd will start it again.
 * @throws LlmctlError `not-running`, `systemctl-failed`
 */
async function endPausedUnit(name: string, paths: Paths): Promise<number> {
  const { findLiveUnit, stopUnit } = await import("../services/unit-files.ts");
  const live = await findLiveUnit(name);
  if (live === undefined) throw await notRunningHere(name, paths);
  await stopUnit(live);
  const again = live.state.includes("auto-restart") ? ", and systemd would have started it again" : "";
  process.stdout.write(`stopped "${name}": ${live.unit} was ${live.state}${again}\n`);
  return 0;
}

/** Profiles that do not run, but whose own units systemd will start again. */
async function listPausedUnits(): Promise<string[]> {
  const { findLiveUnit, listUnits } = await import("../services/unit-files.ts");
  const names = await listUnits("user");
  const live = await Promise.all(names.map(findLiveUnit));
  return names.filter((_, index) => live[index]?.scope === "user");
}

/** As {@link notRunning}, or who runs it, where that is the user of the machine's services. */
export async function notRunningHere(name: string, paths: Paths): Promise<LlmctlError> {
  const { explainElsewhere } = await import("./foreign-states.ts");
  return (await explainElsewhere(paths, name)) ?? notRunning(name);
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
