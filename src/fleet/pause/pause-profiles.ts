import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { exitCodes } from "../../base/exit-codes.ts";
import { readLines } from "../../base/files/read-lines.ts";
import type { Paths } from "../../base/files/paths.ts";
import { packageFolder } from "../../base/package-folder.ts";
import { parseJson } from "../../base/text/parse-json.ts";
import { findLiveUnit } from "../../services/unit-files.ts";
import { listRunningDependencies, readProfileState } from "../../supervisor/state/profile-states.ts";
import { notRunning } from "../not-running.ts";
import { startOrder } from "../stop-order.ts";
import { type StopEvent, stopProfiles } from "../stop-profiles.ts";
import { type PausedProfile, resumeCommand, type ResumeMessage } from "./pause-message.ts";

interface PauseOptions {
  readonly paths: Paths;
  readonly onStop: (event: StopEvent) => void;
}

/** Running profiles that are stopped until {@link Pause.end}. */
export interface Pause {
  /**
   * Starts the profiles again and waits until they are ready.
   * @returns the exit code; of several profiles, the first that is not 0.
   */
  readonly end: (onMessage: (message: ResumeMessage) => void) => Promise<number>;
}

/**
 * Stops running profiles for a while. A process of its own starts them again as soon as this one ends the pause, exits,
 * crashes or is killed.
 * @throws LlmctlError `not-running`, and as `stopProfiles`; what was stopped by then is started again.
 */
export async function pauseProfiles(names: readonly string[], { paths, onStop }: PauseOptions): Promise<Pause> {
  // A start brings up what a profile depends on, but not as the unit that kept that running: those come first.
  const order = startOrder(names, await listRunningDependencies(paths));
  const paused = await Promise.all(order.map((name) => findRunning(name, paths)));
  // It is there before the first profile stops, so there is no moment in which nobody would start it again.
  const resumer = await startResumer(paused);
  const end: Pause["end"] = (onMessage) => endPause(resumer, onMessage);
  try {
    await stopAll(order, { paths, onStop });
    return { end };
  } catch (error) {
    await end(() => undefined);
    throw error;
  }
}

/** @throws the first error, where one of several cannot be stopped: its memory would be missing. */
export async function stopAll(
  names: readonly string[],
  { paths, onStop }: PauseOptions,
  stop = stopProfiles,
): Promise<void> {
  const errors: unknown[] = [];
  const onEvent = (event: StopEvent) => {
    if (event.kind === "error") errors.push(event.error);
    else onStop(event);
  };
  await stop(names, { paths, all: false, now: false, onEvent });
  if (errors.length > 0) throw errors[0];
}

async function findRunning(name: string, paths: Paths): Promise<PausedProfile> {
  const state = await readProfileState(paths, name);
  if (state?.presence !== "live") throw notRunning(name);
  const unit = await findLiveUnit(name);
  return { name, path: state.status.profile, ...(unit === undefined ? {} : { scope: unit.scope }) };
}

async function startResumer(paused: readonly PausedProfile[]): Promise<ChildProcess> {
  const main = join(packageFolder, "dist", "main.js");
  const resumer = spawn(process.execPath, [main, resumeCommand, JSON.stringify(paused)], {
    detached: true, // Ctrl-C on our terminal does not reach it
    stdio: ["pipe", "pipe", "ignore"],
  });
  try {
    await once(resumer, "spawn");
    return resumer;
  } catch (cause) {
    throw new LlmctlError("spawn-failed", `no process can be started: ${systemErrorCode(cause) ?? String(cause)}`, {
      exit: "unavailable",
      at: process.execPath,
      fix: "nothing was stopped; check that this user may have one more process (ulimit -u)",
      cause,
    });
  }
}

async function endPause(resumer: ChildProcess, onMessage: (message: ResumeMessage) => void): Promise<number> {
  const { stdin, stdout } = resumer;
  if (stdin === null || stdout === null) throw new Error("the resuming process has no pipes");
  const exited = resumer.exitCode === null && resumer.signalCode === null ? once(resumer, "exit") : Promise.resolve([]);
  stdin.on("error", () => undefined); // it was killed: its exit code says so
  stdin.end();
  for await (const line of readLines(stdout)) onMessage(parseJson(line) as ResumeMessage);
  await exited;
  return resumer.exitCode ?? exitCodes.failed.code;
}
