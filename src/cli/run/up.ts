import { exitCodes } from "../../base/exit-codes.ts";
import { findPaths } from "../../base/files/paths.ts";
import { printableSentence } from "../../base/text/printable.ts";
import { startProfiles } from "../../fleet/start/start-profiles.ts";
import { findLoadOptions } from "../options/context.ts";
import { interruptible } from "../screen/interruptible.ts";
import { StartScreen } from "../screen/start-screen.ts";
import { hasTerminal } from "./outlive-output.ts";
import { holdStart } from "./systemd-reporter.ts";

interface UpOptions {
  /** Leave the servers to supervisors of their own once they are ready. */
  readonly detach: boolean;
  /** All profiles that people wrote, in place of names. */
  readonly all: boolean;
  readonly fetch: boolean;
  readonly verify: boolean;
  readonly timeoutMs: number | undefined;
}

/** `up`: starts profiles; one of them, the last, in this process. @returns the exit code. */
export async function up(namesOrPaths: readonly string[], { detach, ...options }: UpOptions): Promise<number> {
  const paths = findPaths();
  // A terminal that started this with nohup, and closes, does not end it.
  if (!hasTerminal()) process.on("SIGHUP", () => undefined);
  const screen = new StartScreen();
  // A supervisor in another process needs none of this code here.
  const here = detach ? {} : { runHere: (await import("./run-here.ts")).runHere };
  return startProfiles(namesOrPaths, {
    ...options,
    paths,
    env: process.env,
    load: findLoadOptions(paths),
    warn: (text) => process.stderr.write(`llmctl: warning: ${printableSentence(text)}\n`),
    host: {
      onEvent: (event) => screen.show(event),
      whileModels: (action) => whileModels(screen, action),
      whileDetached: leaveOnInterrupt,
      holdStart: (why) => {
        const held = holdStart(process.env);
        held.status(why);
        return held;
      },
      ...here,
    },
  });
}

/** Shows the models' progress, tells systemd that the start goes on, and stops in an orderly way on Ctrl-C. */
async function whileModels(screen: StartScreen, action: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const held = holdStart(process.env);
  screen.beginModels(held.status);
  try {
    await interruptible(action);
  } finally {
    screen.endModels();
    held.close();
  }
}

/** Ctrl-C ends the wait, and not the supervisor. */
async function leaveOnInterrupt(name: string, action: () => Promise<number>): Promise<number> {
  const onInterrupt = () => {
    process.stderr.write(`\n"${name}" goes on loading in the background; stop it: llmctl down ${name}\n`);
    process.exit(exitCodes.interrupted.code);
  };
  process.once("SIGINT", onInterrupt);
  try {
    return await action();
  } finally {
    process.removeListener("SIGINT", onInterrupt);
  }
}
