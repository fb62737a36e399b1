import { closeSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { exitCodes } from "../../base/exit-codes.ts";
import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { findPaths } from "../../base/files/paths.ts";
import { parseJson } from "../../base/text/parse-json.ts";
import { collectBounded } from "../../base/files/read-bounded.ts";
import { protocolOf } from "../../llama/server/protocols.ts";
import type { Launch } from "../../supervisor/launch.ts";
import { supervise } from "../../supervisor/supervise.ts";
import { isService } from "../../services/notify.ts";
import { type DetachedMessage, starterPipeFd } from "./detached-message.ts";

/** How long a start waits for the first reader of its events: the `up` may be stopped (Ctrl-Z), or gone. */
const watcherWaitMs = 5000;

/**
 * The process of a detached supervisor: reads a launch from stdin, tells its starter on the pipe where it listens, and
 * logs to stderr.
 * @returns its exit code.
 */
export async function superviseDetached(): Promise<number> {
  process.on("SIGHUP", () => undefined); // it has no terminal
  try {
    const launch = await readLaunch();
    const supervision = await supervise({
      launch,
      protocol: protocolOf(launch),
      paths: findPaths(),
      isPatient: isService(process.env), // of a unit that depends on this profile
      onEvent: () => undefined,
    });
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => supervision.down(signal));
    const isWatched = tellStarter({ listening: supervision.socketPath });
    if (isWatched) await Promise.race([supervision.firstReader, sleep(watcherWaitMs, undefined, { ref: false })]);
    supervision.start();
    return exitCodes[await supervision.finished].code;
  } catch (error) {
    if (!(error instanceof LlmctlError)) throw error;
    tellStarter({ error: { code: error.code, exit: error.exit, problems: error.problems } });
    return exitCodes[error.exit].code;
  }
}

/** Writes to the `up` that started this process; a new pipe has room for one line. @returns whether it still reads. */
function tellStarter(message: DetachedMessage): boolean {
  try {
    writeSync(starterPipeFd, `${JSON.stringify(message)}\n`);
    return true;
  } catch (error) {
    if (systemErrorCode(error) !== "EPIPE") throw error;
    return false; // `up` was interrupted
  } finally {
    closeSync(starterPipeFd);
  }
}

/** A launch with a long environment is some 10 kB, and a set of thousands of shards some 300. */
const mostLaunchBytes = 8 << 20;

async function readLaunch(): Promise<Launch> {
  const body = await collectBounded(process.stdin, mostLaunchBytes);
  if (body === undefined)
    throw new LlmctlError("launch-too-large", `the launch has more than ${mostLaunchBytes} bytes`, { exit: "config" });
  try {
    return parseJson(body.toString("utf8")) as Launch;
  } catch (cause) {
    throw new LlmctlError("launch-refused", "the launch on stdin of the supervisor is not complete JSON", {
      exit: "failed",
      cause,
    });
  }
}
