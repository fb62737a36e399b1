import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, writeSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { exitCodes, type ExitName } from "../../base/exit-codes.ts";
import { LlmctlError, type Problem, systemErrorCode } from "../../base/errors.ts";
import { packageFolder } from "../../base/package-folder.ts";
import { findPaths, type Paths } from "../../base/files/paths.ts";
import { parseJson } from "../../base/text/parse-json.ts";
import { collectBounded } from "../../base/files/read-bounded.ts";
import { readLines } from "../../base/files/read-lines.ts";
import { hasLogin, maySecretBe } from "../../base/text/secrets.ts";
import { followEvents } from "../../control/client.ts";
import type { StatusEvent } from "../../control/messages.ts";
import { protocolOf } from "../../llama/server/protocols.ts";
import { eventLogPath } from "../../supervisor/log/event-log.ts";
import type { Launch } from "../../supervisor/launch.ts";
import { stateUnwritable } from "../../supervisor/state/lock.ts";
import { openLogFile } from "../../supervisor/log/log-file.ts";
import { supervise } from "../../supervisor/supervise.ts";
import { isService } from "../../services/notify.ts";
import { outliveOutput } from "./outlive-output.ts";

/** Name of the hidden command that a detached supervisor is. */
export const superviseCommand = "__supervise";

const pipeFd = 3;

/** How long a start waits for the one who asked for it to come and watch; it may be stopped (Ctrl-Z), or gone. */
const watcherWaitMs = 5000;

/**
 * The one line on the pipe: events are told on the socket, where nobody who is slow or stopped holds up the supervisor.
 */
type Message =
  | { readonly listening: string }
  | { readonly error: { readonly code: string; readonly exit: ExitName; readonly problems: readonly Problem[] } };

/**
 * Starts a supervisor of its own session, with no descriptor of ours but one pipe, and yields what it does.
 * @throws LlmctlError of the supervisor, when it could not start.
 */
export async function* startDetached(
  launch: Launch,
  paths: Paths,
  signal: AbortSignal | undefined,
): AsyncGenerator<StatusEvent> {
  const log = openSupervisorLog(paths.state, launch.name);
  const main = join(packageFolder, "dist", "main.js");
  const child = spawn(process.execPath, [main, superviseCommand], {
    cwd: "/",
    env: absoluteFolders(withoutSecrets(process.env)),
    detached: true,
    stdio: ["pipe", "ignore", log, "pipe"],
  });
  closeSync(log);
  await expectStarted(child);
  child.stdin?.end(JSON.stringify(launch));
  child.unref();
  const pipe = child.stdio[pipeFd] as Readable;
  const stopReading = () => pipe.destroy();
  if (signal?.aborted) stopReading();
  signal?.addEventListener("abort", stopReading);
  try {
    for await (const line of readLines(pipe)) {
      const message = parseJson(line) as Message;
      if ("error" in message) throw toError(message.error);
      yield* followEvents(message.listening, { signal, fromStart: true });
    }
  } finally {
    signal?.removeEventListener("abort", stopReading);
    pipe.destroy();
  }
}

async function expectStarted(child: ChildProcess): Promise<void> {
  try {
    await once(child, "spawn");
  } catch (cause) {
    throw new LlmctlError(
      "spawn-failed",
      `the supervisor cannot be started: ${systemErrorCode(cause) ?? String(cause)}`,
      {
        exit: systemErrorCode(cause) === "EACCES" ? "permission" : "unavailable",
        at: process.execPath,
        fix: "see that this user may run that file, and may have one more process (ulimit -u)",
        cause,
      },
    );
  }
}

/**
 * The detached supervisor itself: takes a launch on stdin, says on the pipe where it listens, logs to stderr.
 * @returns its exit code.
 */
export async function superviseDetached(): Promise<number> {
  outliveOutput();
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

/** Tells the `up` that started us; a new pipe has room for one line. @returns whether it still listens. */
function tellStarter(message: Message): boolean {
  try {
    writeSync(pipeFd, `${JSON.stringify(message)}\n`);
    return true;
  } catch (error) {
    if (systemErrorCode(error) !== "EPIPE") throw error;
    return false; // `up` was interrupted
  } finally {
    closeSync(pipeFd);
  }
}

/**
 * A supervisor fetches nothing and its server has an environment of its own, which comes in the launch: a token that
 * lies in the memory of a process for months can only be lost. So can the login in an address.
 */
function withoutSecrets(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const isSecret = (name: string) => maySecretBe(name) || /_proxy$/i.test(name);
  return Object.fromEntries(
    Object.entries(env).filter(
      ([name, value]) => (!isSecret(name) && !hasLogin(value ?? "")) || name.startsWith("LLMCTL_"),
    ),
  );
}

/** The supervisor has another working folder, and must find the same files. */
function absoluteFolders(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const known = ["HOME", "LLMCTL_HOME"].filter((name) => env[name]);
  return { ...env, ...Object.fromEntries(known.map((name) => [name, resolve(env[name] ?? "")])) };
}

function openSupervisorLog(stateDir: string, name: string): number {
  const path = eventLogPath(stateDir, name);
  try {
    return openLogFile(path);
  } catch (cause) {
    throw stateUnwritable(path, cause);
  }
}

function toError({
  code,
  exit,
  problems,
}: {
  code: string;
  exit: ExitName;
  problems: readonly Problem[];
}): LlmctlError {
  const [{ message, ...place } = { message: code }, ...more] = problems;
  return new LlmctlError(code, message, { exit, ...place }, more);
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
    throw new LlmctlError("launch-refused", "the launch that the supervisor was given is not whole", {
      exit: "failed",
      cause,
    });
  }
}
