import { request, type IncomingMessage } from "node:http";
import { LlmctlError, systemErrorCode } from "../base/errors.ts";
import { readLines } from "../base/read-lines.ts";
import type { Status, StatusEvent } from "./messages.ts";

/** Errors of a connection that mean that no supervisor is there, or that it ended just now. */
const nobodyListens: ReadonlySet<string> = new Set(["ENOENT", "ENOTDIR", "ECONNREFUSED", "ECONNRESET"]);

/** The body of an answer of the control socket that is not 2xx. */
interface Refusal {
  readonly message: string;
}

/**
 * Asks a supervisor for its status.
 * @returns undefined when no supervisor listens on the socket.
 * @throws LlmctlError `unresponsive` when one listens but does not answer in time.
 */
export async function fetchStatus(socketPath: string, timeoutMs = 1000): Promise<Status | undefined> {
  const response = await open(socketPath, "GET", "/status", { timeoutMs });
  return response === undefined ? undefined : ((await readJson(response)) as Status);
}

/** Prometheus text of a supervisor and its server. @returns undefined when no supervisor listens on the socket. @throws LlmctlError `unresponsive` */
export async function fetchMetrics(socketPath: string, timeoutMs = 5000): Promise<string | undefined> {
  const response = await open(socketPath, "GET", "/metrics", { timeoutMs });
  return response === undefined ? undefined : readText(response);
}

/**
 * Asks a supervisor to stop; returns when the server and the supervisor's lock are gone.
 * @returns the last status, or undefined when no supervisor listens.
 */
export async function requestStop(socketPath: string, force: boolean): Promise<Status | undefined> {
  const response = await open(socketPath, "POST", "/stop", { body: { force } });
  return response === undefined ? undefined : ((await readJson(response)) as Status);
}

/** Asks a supervisor to restart its server, with a new launch when one is given. @returns false when no supervisor listens. */
export async function requestRestart(socketPath: string, launch: unknown): Promise<boolean> {
  const response = await open(socketPath, "POST", "/restart", { body: { launch } });
  if (response === undefined) return false;
  await readJson(response);
  return true;
}

/** Status changes of a supervisor, the present status first; ends with the supervisor. Yields nothing when no supervisor listens. */
export async function* followEvents(socketPath: string, signal?: AbortSignal): AsyncGenerator<StatusEvent> {
  const response = await open(socketPath, "GET", "/events", { signal });
  if (response === undefined) return;
  try {
    for await (const line of readLines(response)) yield JSON.parse(line) as StatusEvent;
  } finally {
    // A reader that has seen enough must not be kept alive by the connection.
    response.destroy();
  }
}

interface RequestOptions {
  readonly body?: unknown;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

function open(socketPath: string, method: string, path: string, options: RequestOptions): Promise<IncomingMessage | undefined> {
  return new Promise((resolve, reject) => {
    const outgoing = request({
      socketPath,
      method,
      path,
      agent: false,
      headers: { host: "llmctl", "content-type": "application/json" },
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    const timer =
      options.timeoutMs === undefined ? undefined : setTimeout(() => outgoing.destroy(unresponsive(socketPath)), options.timeoutMs);
    outgoing.on("response", (response) => {
      clearTimeout(timer);
      resolve(response);
    });
    outgoing.on("error", (error) => {
      clearTimeout(timer);
      const code = systemErrorCode(error);
      if (nobodyListens.has(code ?? "")) resolve(undefined);
      else reject(code === "EACCES" ? foreign(socketPath, error) : error);
    });
    outgoing.end(options.body === undefined ? undefined : JSON.stringify(options.body));
  });
}

async function readJson(response: IncomingMessage): Promise<unknown> {
  return JSON.parse(await readText(response));
}

/** The body of an answer. @throws LlmctlError `refused` when it is not 200. */
async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString("utf8");
  if (response.statusCode === 200) return text;
  throw new LlmctlError("refused", (JSON.parse(text) as Refusal).message, { exit: "failed" });
}

function foreign(socketPath: string, cause: Error): LlmctlError {
  return new LlmctlError("foreign-socket", "the supervisor belongs to another user", {
    exit: "permission",
    at: socketPath,
    fix: "run llmctl as that user",
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
