import { request, type IncomingMessage } from "node:http";
import { LlmctlError, systemErrorCode } from "../base/errors.ts";
import { limitRunningTime } from "../base/running-time-limit.ts";
import { parseJsonOrNothing } from "../base/text/parse-json.ts";
import { collectBounded } from "../base/files/read-bounded.ts";
import { readLines } from "../base/files/read-lines.ts";
import { llmctlVersion } from "../base/version.ts";
import { isEvent, isRefusal, isStatus, type Status, type StatusEvent } from "./messages.ts";
import { isOwnSocket, isSocketOf } from "./socket-path.ts";

/** Connection errors that mean that no supervisor runs, or that it has just ended. */
const nobodyListens: ReadonlySet<string> = new Set(["ENOENT", "ENOTDIR", "ECONNREFUSED", "ECONNRESET", "EPIPE"]);

/**
 * A supervisor answers within a millisecond, on an overloaded machine within a second. Counts only while our own
 * process runs, see {@link limitRunningTime}.
 */
const answerLimitMs = 3000;
/** Metrics of supervisor and server are some 50 kB; an impostor on the socket could send without end. */
const maxAnswerBytes = 8 << 20;
/** Includes the server's own metrics, for which its main loop may be busy. */
const metricsLimitMs = 10_000;

/**
 * Asks a supervisor for its status.
 * @returns undefined when no supervisor listens on the socket.
 * @throws LlmctlError `unresponsive` when one listens but does not answer in time; `foreign-socket`, `foreign-folder`
 *   before anything is sent.
 */
export async function fetchStatus(socketPath: string, timeoutMs = answerLimitMs): Promise<Status | undefined> {
  const response = await open(socketPath, "GET", "/status", { timeoutMs });
  return response === undefined ? undefined : readStatusOf(socketPath, response);
}

/**
 * Like {@link fetchStatus}, for another user's supervisor. The answer is for display only.
 * @returns undefined also when the socket does not belong to that user.
 */
export async function fetchForeignStatus(socketPath: string, owner: number): Promise<Status | undefined> {
  const isThere = isSocketOf(socketPath, owner);
  const response = isThere ? await send(socketPath, "GET", "/status", { timeoutMs: answerLimitMs }) : undefined;
  return response === undefined ? undefined : readStatusOf(socketPath, response);
}

/**
 * Fetches the Prometheus text of a supervisor and its server.
 * @returns undefined when no supervisor listens on the socket.
 * @throws as {@link fetchStatus}.
 */
export async function fetchMetrics(socketPath: string): Promise<string | undefined> {
  const response = await open(socketPath, "GET", "/metrics", { timeoutMs: metricsLimitMs });
  return response === undefined ? undefined : readText(socketPath, response);
}

/**
 * Asks a supervisor to stop; returns when the server and the supervisor's lock are gone.
 * @returns the last status, or undefined when no supervisor listens.
 * @throws LlmctlError `overruled` when another caller then asked for a restart.
 */
export async function requestStop(socketPath: string, force: boolean): Promise<Status | undefined> {
  const response = await open(socketPath, "POST", "/stop", { body: { force, by: caller("down") } });
  return response === undefined ? undefined : readStatusOf(socketPath, response);
}

/**
 * Asks a supervisor to restart its server, with a new launch when one is given.
 * @returns false when no supervisor listens.
 * @throws LlmctlError `launch-version`, `launch-refused`; the running server is then left alone.
 */
export async function requestRestart(socketPath: string, launch: unknown): Promise<boolean> {
  const body = { launch, by: caller("restart"), llmctl: llmctlVersion };
  const response = await open(socketPath, "POST", "/restart", { body });
  if (response === undefined) return false;
  await readText(socketPath, response);
  return true;
}

interface FollowOptions {
  readonly signal?: AbortSignal | undefined;
  /** Begins with the events since the present start. */
  readonly fromStart?: boolean;
}

/**
 * Yields the events of a supervisor, the present status first, until the supervisor ends; nothing when no supervisor
 * listens.
 */
export async function* followEvents(
  socketPath: string,
  { signal, fromStart = false }: FollowOptions = {},
): AsyncGenerator<StatusEvent> {
  const response = await open(socketPath, "GET", fromStart ? "/events?from=start" : "/events", { signal });
  if (response === undefined) return;
  try {
    for await (const line of readLines(response)) {
      const event = parseJsonOrNothing(line);
      if (!isEvent(event)) throw unreadable(socketPath);
      yield event;
    }
  } finally {
    // An open connection would keep the reader's process alive.
    response.destroy();
  }
}

/** Names the caller in the supervisor's events. */
function caller(command: string): string {
  return `"llmctl ${command}" (pid ${process.pid})`;
}

interface SocketRequestOptions {
  readonly body?: unknown;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

async function open(
  socketPath: string,
  method: string,
  path: string,
  options: SocketRequestOptions,
): Promise<IncomingMessage | undefined> {
  return isOwnSocket(socketPath) ? send(socketPath, method, path, options) : undefined;
}

/**
 * Keeps `node:http` from asking whether the host is an IPv6 address, for a TLS server name that a socket does not need.
 * Compiling the regular expression of that question takes 4 ms of CPU, a fifteenth of a bare start of Node.
 */
const noServerName = { servername: "" };

function send(
  socketPath: string,
  method: string,
  path: string,
  options: SocketRequestOptions,
): Promise<IncomingMessage | undefined> {
  return new Promise((resolve, reject) => {
    const outgoing = request({
      socketPath,
      method,
      path,
      agent: false,
      ...noServerName,
      headers: { host: "llmctl", "content-type": "application/json" },
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    const { timeoutMs } = options;
    let answer: IncomingMessage | undefined;
    const expire = () => (answer ?? outgoing).destroy(unresponsive(socketPath));
    const cancelLimit = timeoutMs === undefined ? () => undefined : limitRunningTime(timeoutMs, expire);
    outgoing.on("response", (response) => {
      answer = response;
      response.on("close", cancelLimit);
      resolve(response);
    });
    outgoing.on("error", (error) => {
      cancelLimit();
      const code = systemErrorCode(error);
      if (nobodyListens.has(code ?? "")) resolve(undefined);
      else reject(code?.startsWith("HPE_") === true ? unreadable(socketPath) : error); // of Node's parser: no HTTP
    });
    outgoing.end(options.body === undefined ? undefined : JSON.stringify(options.body));
  });
}

async function readStatusOf(socketPath: string, response: IncomingMessage): Promise<Status> {
  const status = parseJsonOrNothing(await readText(socketPath, response));
  if (!isStatus(status)) throw unreadable(socketPath);
  return status;
}

/**
 * Reads the body of an answer.
 * @throws LlmctlError from the supervisor's refusal when the status is not 200, `unreadable-answer`.
 */
async function readText(socketPath: string, response: IncomingMessage): Promise<string> {
  const text = await readBody(socketPath, response);
  if (response.statusCode === 200) return text;
  const refusal = parseJsonOrNothing(text);
  if (!isRefusal(refusal)) throw unreadable(socketPath);
  const { message, code = "refused", exit = "failed", fix } = refusal;
  throw new LlmctlError(code, message, { exit, ...(fix === undefined ? {} : { fix }) });
}

async function readBody(socketPath: string, response: IncomingMessage): Promise<string> {
  let body: Buffer | undefined;
  try {
    body = await collectBounded(response, maxAnswerBytes);
  } catch (error) {
    throw error instanceof LlmctlError ? error : cutOff(socketPath, error);
  }
  if (body === undefined) throw unreadable(socketPath);
  return body.toString("utf8");
}

function unreadable(socketPath: string): LlmctlError {
  return new LlmctlError(
    "unreadable-answer",
    `the answer is not from a supervisor that llmctl ${llmctlVersion} knows`,
    {
      exit: "failed",
      at: socketPath,
      fix: "if a supervisor of another version runs, use the program of that version",
    },
  );
}

function cutOff(socketPath: string, cause: unknown): LlmctlError {
  return new LlmctlError("answer-cut-off", "the supervisor ended while it answered", {
    exit: "failed",
    at: socketPath,
    fix: "try again",
    cause,
  });
}

function unresponsive(socketPath: string): LlmctlError {
  return new LlmctlError("unresponsive", "the supervisor does not answer", {
    exit: "failed",
    at: socketPath,
    fix: "it may be stopped by a debugger or a full disk; look at its process, or end it with SIGKILL",
  });
}
