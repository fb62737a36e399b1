import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Readable } from "node:stream";
import { packageFolder } from "../../base/package-folder.ts";
import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import type { Paths } from "../../base/files/paths.ts";
import { parseJson } from "../../base/text/parse-json.ts";
import { readLines } from "../../base/files/read-lines.ts";
import { hasLogin, maySecretBe } from "../../base/text/secrets.ts";
import { followEvents } from "../../control/client.ts";
import type { StatusEvent } from "../../control/messages.ts";
import { eventLogPath } from "../../supervisor/log/event-log.ts";
import type { Launch } from "../../supervisor/launch.ts";
import { stateUnwritable } from "../../supervisor/state/file-lock.ts";
import { openLogForAppending } from "../../supervisor/log/open-log-for-appending.ts";
import { type DetachedMessage, type RefusedStart, starterPipeFd, superviseCommand } from "./detached-message.ts";
import { type Ending, supervisorGone } from "./wait-for-ready.ts";

/** The end of a process is known a moment after its pipe has closed. */
const endingWaitMs = 1000;

/**
 * Starts a supervisor in a session of its own and yields its events. Of this process it inherits one pipe and no other
 * descriptor.
 * @throws LlmctlError of the supervisor when it could not start; `supervisor-gone` when it exited without a last event.
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
  const pipe = child.stdio[starterPipeFd] as Readable;
  const stopReading = () => pipe.destroy();
  if (signal?.aborted) stopReading();
  signal?.addEventListener("abort", stopReading);
  try {
    for await (const line of readLines(pipe)) {
      const message = parseJson(line) as DetachedMessage;
      if ("error" in message) throw toError(message.error);
      yield* followEvents(message.listening, { signal, fromStart: true });
    }
    // Nobody reads on after a last event, so there was none.
    if (!signal?.aborted) throw supervisorGone(launch.name, paths, await findEnding(child));
  } finally {
    signal?.removeEventListener("abort", stopReading);
    pipe.destroy();
  }
}

/** @returns undefined while the process runs. */
async function findEnding(child: ChildProcess): Promise<Ending | undefined> {
  if (child.exitCode === null && child.signalCode === null) {
    child.ref();
    await once(child, "exit", { signal: AbortSignal.timeout(endingWaitMs) }).catch(() => undefined);
    child.unref();
  }
  if (child.signalCode !== null) return { signal: child.signalCode };
  return child.exitCode === null ? undefined : { code: child.exitCode };
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
        fix: "check that this user may run that file, and may have one more process (ulimit -u)",
        cause,
      },
    );
  }
}

/**
 * The environment without tokens and logins. A supervisor fetches nothing, and the environment of its server comes in
 * the launch; a secret in the memory of a process that runs for months could only leak.
 */
function withoutSecrets(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const isSecret = (name: string) => maySecretBe(name) || /_proxy$/i.test(name);
  return Object.fromEntries(
    Object.entries(env).filter(
      ([name, value]) => (!isSecret(name) && !hasLogin(value ?? "")) || name.startsWith("LLMCTL_"),
    ),
  );
}

/** The supervisor has another working folder, and has to find the same files. */
function absoluteFolders(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const known = ["HOME", "LLMCTL_HOME"].filter((name) => env[name]);
  return { ...env, ...Object.fromEntries(known.map((name) => [name, resolve(env[name] ?? "")])) };
}

function openSupervisorLog(stateDir: string, name: string): number {
  const path = eventLogPath(stateDir, name);
  try {
    return openLogForAppending(path);
  } catch (cause) {
    throw stateUnwritable(path, cause);
  }
}

function toError({ code, exit, problems }: RefusedStart): LlmctlError {
  const [{ message, ...place } = { message: code }, ...more] = problems;
  return new LlmctlError(code, message, { exit, ...place }, more);
}
