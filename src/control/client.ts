import { request, type IncomingMessage } from "node:http";
import { LlmctlError, systemErrorCode } from "../base/errors.ts";
import type { ExitName } from "../base/exit-codes.ts";
import type { Fix } from "../base/fix.ts";
import { limitOwnTime } from "../base/own-time.ts";
import { readLines } from "../base/read-lines.ts";
import { llmctlVersion } from "../base/version.ts";
import type { Status, StatusEvent } from "./messages.ts";
import { isOwnSocket, isSocketOf } from "./socket-path.ts";

/** Errors of a connection that mean that no supervisor is there, or that it ended just now. */
const nobodyListens: ReadonlySet<string> = new Set(["ENOENT", "ENOTDIR", "ECONNREFUSED", "ECONNRESET", "EPIPE"]);

/** The body of an answer of the control socket that is not 2xx; a supervisor of an older version gives the message alone. */
export interface Refusal {
  readonly message: string;
  readonly code?: string;
  readonly exit?: ExitName;
  readonly fix?: Fix;
}

/** A supervisor answers within a millisecond; one that is starved by others may need a second. Of our own time, see {@link limitOwnTime}. */
const answerLimitMs = 3000;
/** A server is asked for its part, whose main loop may be at work. */
const metricsLimitMs = 10_000;

/**
 * Asks a supervisor for its status.
 * @returns undefined when no supervisor listens on the socket.
 * @throws LlmctlError `unresponsive` when one listens but does not answer in time; `foreign-socket`, `foreign-folder` before anything is sent.
 */
export async function fetchStatus(socketPath: string, timeoutMs = answerLimitMs): Promise<Status | undefined> {
  const response = await open(socketPath, "GET", "/status", { timeoutMs });
  return response === undefined ? undefined : ((await readJson(response)) as Status);
}

/** Larger than any status is. */
const mostStatusBytes = 1 << 20;

/**
 * Asks what may be another user's supervisor. Nothing is believed: the answer is any JSON, and the socket may be gone or another one meanwhile.
 * @returns undefined when there is no answer that is JSON.
 * @throws LlmctlError `unresponsive`
 */
export async function fetchForeignStatus(socketPath: string, owner: number): Promise<unknown> {
  if (!isSocketOf(socketPath, owner)) return undefined;
  const response = await send(socketPath, "GET", "/status", { timeoutMs: answerLimitMs });
  if (response?.statusCode !== 200) {
    response?.destroy();
    return undefined;
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response) {
    bytes += (chunk as Buffer).length;
    if (bytes > mostStatusBytes) return undefined;
    chunks.push(chunk as Buffer);
  }
  return parseJson(Buffer.concat(chunks).toString("utf8"));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // as good as no answer
  }
}

/** Prometheus text of a supervisor and its server. @returns undefined when no supervisor listens on the socket. @throws as {@link fetchStatus}. */
export async function fetchMetrics(socketPath: string): Promise<string | undefined> {
  const response = await open(socketPath, "GET", "/metrics", { timeoutMs: metricsLimitMs });
  return response === undefined ? undefined : readText(response);
}

/**
 * Asks a supervisor to stop; returns when the server and the supervisor's lock are gone.
 * @returns the last status, or undefined when no supervisor listens.
 * @throws LlmctlError `overruled` when somebody else's wish came after this one, and the server goes on or starts again.
 */
export async function requestStop(socketPath: string, force: boolean): Promise<Status | undefined> {
  const response = await open(socketPath, "POST", "/stop", { body: { force, by: caller("down") } });
  return response === undefined ? undefined : ((await readJson(response)) as Status);
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
  await readJson(response);
  return true;
}

interface FollowOptions {
  readonly signal?: AbortSignal | undefined;
  /** Also what has happened since the present start began. */
  readonly fromStart?: boolean;
}

/** Status changes of a supervisor, the present status first; ends with the supervisor. Yields nothing when no supervisor listens. */
export async function* followEvents(socketPath: string, { signal, fromStart = false }: FollowOptions = {}): AsyncGenerator<StatusEvent> {
  const response = await open(socketPath, "GET", fromStart ? "/events?from=start" : "/events", { signal });
  if (response === undefined) return;
  try {
    for await (const line of readLines(response)) yield JSON.parse(line) as StatusEvent;
  } finally {
    // A reader that has seen enough must not be kept alive by the connection.
    response.destroy();
  }
}

/** Who asks, for the supervisor's events. */
function caller(command: string): string {
  return `"llmctl ${command}" (pid ${process.pid})`;
}

interface RequestOptions {
  readonly body?: unknown;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

async function open(socketPath: string, method: string, path: string, options: RequestOptions): Promise<IncomingMessage | undefined> {
  return isOwnSocket(socketPath) ? send(socketPath, method, path, options) : undefined;
}

function send(socketPath: string, method: string, path: string, options: RequestOptions): Promise<IncomingMessage | undefined> {
  return new Promise((resolve, reject) => {
    const outgoing = request({
      socketPath,
      method,
      path,
      agent: false,
      headers: { host: "llmctl", "content-type": "application/json" },
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    const { timeoutMs } = options;
    let answer: IncomingMessage | undefined;
    const expire = () => (answer ?? outgoing).destroy(unresponsive(socketPath));
    const cancelLimit = timeoutMs === undefined ? () => undefined : limitOwnTime(timeoutMs, expire);
    outgoing.on("response", (response) => {
      answer = response;
      response.on("close", cancelLimit);
      resolve(response);
    });
    outgoing.on("error", (error) => {
      cancelLimit();
      const code = systemErrorCode(error);
      if (nobodyListens.has(code ?? "")) resolve(undefined);
      else reject(error);
    });
    outgoing.end(options.body === undefined ? undefined : JSON.stringify(options.body));
  });
}

async function readJson(response: IncomingMessage): Promise<unknown> {
  return JSON.parse(await readText(response));
}

/** The body of an answer. @throws LlmctlError with the supervisor's own words when it is not 200. */
async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString("utf8");
  if (response.statusCode === 200) return text;
  const { message, code = "refused", exit = "failed", fix } = JSON.parse(text) as Refusal;
  throw new LlmctlError(code, message, { exit, ...(fix === undefined ? {} : { fix }) });
}

function unresponsive(socketPath: string): LlmctlError {
  return new LlmctlError("unresponsive", "the supervisor does not answer", {
    exit: "failed",
    at: socketPath,
    fix: "it may be stopped by a debugger or a full disk; look at its process, or end it with SIGKILL",
  });
}
