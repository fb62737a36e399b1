import { readFile } from "node:fs/promises";
import type { Status } from "../../src/control/messages.ts";
import { identifyProcess } from "../../src/supervisor/state/process-identity.ts";
import { llmctl, type RunOptions } from "./llmctl.ts";
import { fakeLlamaServer, findProcessesUsing, type TempHome } from "./temp-home.ts";
import { until } from "./until.ts";

/** One entry of `ps --json`. */
export type Listed = Status & { readonly presence: "live" | "unresponsive" | "orphaned" | "gone" };

/** Whether a process runs; a dead one that waits to be reaped does not. */
export function isAlive(pid: number): boolean {
  return identifyProcess(pid) !== undefined;
}

/** Waits for the end of a process that is not our child. */
export async function untilGone(pid: number): Promise<void> {
  await until(`process ${pid} is gone`, () => !isAlive(pid));
}

/** Pids of the fake servers that run for this home; their grandchildren do not count. */
export async function findServers(home: TempHome): Promise<number[]> {
  const found = await findProcessesUsing(home.path);
  return found
    .filter(({ pid, command }) => command.includes(`${fakeLlamaServer} `) && isAlive(pid))
    .map(({ pid }) => pid);
}

/** The output of `status --json`. */
export async function readStatus(home: TempHome, name: string): Promise<Listed> {
  const { stdout } = await llmctl(["status", name, "--json"], { home });
  return JSON.parse(stdout) as Listed;
}

/** Waits for the status of a profile that may not have one yet. */
export async function untilStatus(
  home: TempHome,
  name: string,
  what: string,
  is: (status: Listed) => boolean,
): Promise<Listed> {
  return until(`"${name}" is ${what}`, async () => {
    const { stdout } = await llmctl(["status", name, "--json"], { home });
    const status = stdout === "" ? undefined : (JSON.parse(stdout) as Listed);
    return status !== undefined && is(status) && status;
  });
}

/**
 * Starts a profile in the background.
 * @returns its status once it is ready.
 * @throws with the output when it does not become ready.
 */
export async function upDetached(
  home: TempHome,
  name: string,
  options: Partial<RunOptions> = {},
): Promise<Listed & { readonly pid: number }> {
  const { exitCode, stdout, stderr } = await llmctl(["up", "-d", name], { home, ...options });
  if (exitCode !== 0) throw new Error(`llmctl up -d ${name} ended with ${exitCode}:\n${stdout}${stderr}`);
  const status = await readStatus(home, name);
  if (status.pid === null) throw new Error(`"${name}" has no server: ${JSON.stringify(status)}`);
  return { ...status, pid: status.pid };
}

/** The server's log of a profile. */
export function readServerLog(home: TempHome, name: string): Promise<string> {
  return readFile(home.join("state", name, "server.log"), "utf8");
}

/** How often a text occurs. */
export function count(text: string, part: string): number {
  return text.split(part).length - 1;
}
