import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { exitCodes, type ExitName } from "../base/exit-codes.ts";
import { LlmctlError, type Problem } from "../base/errors.ts";
import { findPaths, type Paths } from "../base/paths.ts";
import { readLines } from "../base/read-lines.ts";
import type { StatusEvent } from "../control/messages.ts";
import { protocolOf } from "../llama/protocols.ts";
import type { Launch } from "../supervisor/launch.ts";
import { unwritable } from "../supervisor/lock.ts";
import { supervise } from "../supervisor/supervise.ts";
import { outliveOutput } from "./outlive-output.ts";

/** Name of the hidden command that a detached supervisor is. */
export const superviseCommand = "__supervise";

const readinessFd = 3;

/** One line on the readiness pipe. */
type Message =
  | { readonly event: StatusEvent }
  | { readonly error: { readonly code: string; readonly exit: ExitName; readonly problems: readonly Problem[] } };

/**
 * Starts a supervisor of its own session, with no descriptor of ours but one pipe, and yields what it reports there until it is ready.
 * @throws LlmctlError of the supervisor, when it could not start.
 */
export async function* startDetached(launch: Launch, paths: Paths, signal: AbortSignal | undefined): AsyncGenerator<StatusEvent> {
  const log = openSupervisorLog(join(paths.state, launch.name));
  const main = fileURLToPath(new URL("../main.js", import.meta.url));
  const child = spawn(process.execPath, [main, superviseCommand], { cwd: "/", detached: true, stdio: ["pipe", "ignore", log, "pipe"] });
  closeSync(log);
  child.stdin?.end(JSON.stringify(launch));
  child.unref();
  const pipe = child.stdio[readinessFd] as Readable;
  const stopReading = () => pipe.destroy();
  if (signal?.aborted) stopReading();
  signal?.addEventListener("abort", stopReading);
  try {
    for await (const line of readLines(pipe)) {
      const message = JSON.parse(line) as Message;
      if ("error" in message) throw toError(message.error);
      yield message.event;
    }
  } finally {
    signal?.removeEventListener("abort", stopReading);
    pipe.destroy();
  }
}

/** The detached supervisor itself: takes a launch on stdin, reports on the readiness pipe, logs to stderr. @returns its exit code. */
export async function superviseDetached(): Promise<number> {
  outliveOutput();
  const launch = JSON.parse(await readAll(process.stdin)) as Launch;
  const pipe = new ReadinessPipe();
  try {
    const supervision = await supervise({
      launch,
      protocol: protocolOf(launch),
      paths: findPaths(),
      onEvent: (event) => {
        pipe.send({ event });
        if (event.status.state === "ready" || event.end !== undefined) pipe.close();
      },
    });
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => supervision.down());
    return exitCodes[await supervision.finished].code;
  } catch (error) {
    if (!(error instanceof LlmctlError)) throw error;
    pipe.send({ error: { code: error.code, exit: error.exit, problems: error.problems } });
    return exitCodes[error.exit].code;
  }
}

/** Tells the `up` that started us how it goes; whether anybody still listens does not matter. */
class ReadinessPipe {
  #open = true;

  send(message: Message): void {
    if (!this.#open) return;
    try {
      writeSync(readinessFd, `${JSON.stringify(message)}\n`);
    } catch {
      this.close(); // EPIPE: `up` was interrupted or has seen enough
    }
  }

  close(): void {
    if (this.#open) closeSync(readinessFd);
    this.#open = false;
  }
}

function openSupervisorLog(folder: string): number {
  const path = join(folder, "supervisor.log");
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return openSync(path, "a", 0o600);
  } catch (cause) {
    throw unwritable(path, cause);
  }
}

function toError({ code, exit, problems }: { code: string; exit: ExitName; problems: readonly Problem[] }): LlmctlError {
  const [{ message, ...place } = { message: code }, ...more] = problems;
  return new LlmctlError(code, message, { exit, ...place }, more);
}

async function readAll(stream: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString("utf8");
}
