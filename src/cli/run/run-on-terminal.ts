import { spawn, spawnSync } from "node:child_process";
import { constants } from "node:os";

interface TerminalProgram {
  readonly file: string;
  readonly args: readonly string[];
  /** The whole environment. */
  readonly env: NodeJS.ProcessEnv;
}

/** Signals of other processes are meant for the program. Those of the terminal reach both processes anyway. */
const passedOn = ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const;
const fromTerminal = ["SIGINT", "SIGQUIT"] as const;

/**
 * Runs a program that has our terminal to itself until it ends. It inherits our streams and stays in our process group:
 * keys, Ctrl-C and changes of the window's size reach it from the terminal directly. Its output is not filtered: an
 * editor or llama-cli draws on the terminal, and nothing here can tell that from the text of a model.
 * @returns its exit code; 128 plus the signal's number when a signal has ended it, as in shells.
 * @throws the system's error when it cannot be started.
 */
export async function runOnTerminal({ file, args, env }: TerminalProgram): Promise<number> {
  const settings = readSettings();
  const child = spawn(file, args, { stdio: "inherit", env });
  const pass = (signal: NodeJS.Signals) => void child.kill(signal);
  const ignore = () => undefined;
  for (const signal of passedOn) process.on(signal, pass);
  for (const signal of fromTerminal) process.on(signal, ignore);
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.on("error", reject);
      child.on("exit", (code, signal) => resolve(signal === null ? (code ?? 0) : 128 + constants.signals[signal]));
    });
    if (code > 128) restore(settings);
    return code;
  } finally {
    for (const signal of passedOn) process.off(signal, pass);
    for (const signal of fromTerminal) process.off(signal, ignore);
  }
}

/** The terminal's settings, in stty's own form; undefined where there is no terminal. */
function readSettings(): string | undefined {
  if (!process.stdin.isTTY) return undefined;
  const { status, stdout } = spawnSync("stty", ["-g"], { stdio: ["inherit", "pipe", "ignore"], encoding: "utf8" });
  return status === 0 ? stdout.trim() : undefined;
}

/** A program that is killed in the middle of a line leaves the terminal without an echo. */
function restore(settings: string | undefined): void {
  if (settings !== undefined) spawnSync("stty", [settings], { stdio: ["inherit", "ignore", "ignore"] });
}
