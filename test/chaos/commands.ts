import type { RunResult } from "../support/llmctl.ts";
import { isAlive } from "../support/processes.ts";
import { findServers } from "./servers.ts";
import type { Login, World } from "./world.ts";

export const commands = ["up -d", "down", "down --now", "restart", "logs", "events"] as const;
/** Commands that somebody may stop, as Ctrl-Z does. */
export const stoppable = ["up -d", "restart", "logs -f", "events -f"] as const;

type Command = (typeof commands)[number] | (typeof stoppable)[number];

export interface CommandLine {
  readonly command: Command;
  readonly name: string;
  readonly login: Login;
}

export function commandArguments({ command, name }: CommandLine): string[] {
  return [...command.split(" "), name];
}

/** Which way a command may fail while others disturb it: by its exit code, what it must say then. */
type Failures = Readonly<Record<number, RegExp>>;

const unreachable = /does not answer|wrote no error|its control socket is missing/;
const start: Failures = {
  1: unreachable,
  10: /failed/,
  12: /failed/,
  69: /port \d+ is (in use|taken)/,
  74: /cannot write/,
};
const read: Failures = { 66: /was moved or deleted|has never run/ };
const busy = /holds the profile's lock|with another configuration/;

/**
 * Never: our own bug (70), wrong usage or profile (2, 78), another user's folder (77), a limit of time that nobody has
 * set (11).
 */
const failures: Readonly<Record<Command, Failures>> = {
  "up -d": { ...start, 3: /is not running: it was stopped/, 75: busy },
  restart: { ...start, 3: /is not running|has outlived its supervisor|has just been stopped/, 75: busy },
  down: { 1: unreachable, 3: /is not running/, 75: /was not stopped: .* asked for a restart after this/ },
  "down --now": { 1: unreachable, 3: /is not running/, 75: /was not stopped: .* asked for a restart after this/ },
  logs: read,
  events: read,
  "logs -f": read,
  "events -f": read,
};

/** @returns the exit code. @throws where this command may not end like that. */
export function expectPermitted({ command, name }: Pick<CommandLine, "command" | "name">, result: RunResult): string {
  const { exitCode, stdout, stderr } = result;
  const reason = exitCode === undefined ? undefined : failures[command][exitCode];
  const isPermitted = exitCode === 0 || reason?.test(stderr) === true;
  if (isPermitted && !stderr.includes("internal error")) return String(exitCode);
  throw new Error(
    `llmctl ${command} ${name} ended with ${exitCode ?? result.signal ?? "nothing in time"}:\n${stdout}\n${stderr}`,
  );
}

/**
 * Runs a command to its end.
 * @returns its exit code.
 * @throws when it may not end like that, or did not do what it says.
 */
export async function runCommand(world: World, line: CommandLine): Promise<string> {
  const before = (await findServers([line.name])).get(line.name) ?? [];
  const result = await world.run(commandArguments(line), line.login);
  const left = before.filter(isAlive);
  if (line.command.startsWith("down") && result.exitCode === 0 && left.length > 0)
    throw new Error(`${line.command} ${line.name} says "${result.stdout}", and its server is left: ${left.join(", ")}`);
  return expectPermitted(line, result);
}
