import { chmodSync, rmSync } from "node:fs";
import { lstat } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { isMap } from "../base/text/check-shape.ts";
import { LlmctlError, systemErrorCode } from "../base/errors.ts";
import { parseJsonOrNothing } from "../base/text/parse-json.ts";
import { collectBounded } from "../base/files/read-bounded.ts";
import { ConnectionLimit, httpLimits, unreadAnswerMs } from "./connection-limit.ts";
import type { Refusal, Status, StatusEvent } from "./messages.ts";
import type { MetricsText } from "./metrics-server.ts";
import { ensureSocketFolder } from "./socket-path.ts";

/** A wish, and who has it. */
interface Asker {
  /** For people: a command with its pid, or a signal. */
  readonly by: string;
}

/** What a supervisor lets others do. A handler that throws an LlmctlError refuses, with its words. */
export interface ControlHandlers {
  readonly status: () => Status;
  readonly metrics: () => Promise<MetricsText>;
  /** The present status as an event, for a reader that just came. */
  readonly lastEvent: () => StatusEvent;
  /** What has happened since the present start began, the last event included. */
  readonly eventsOfStart: () => readonly StatusEvent[];
  /** Resolves when the server and the lock are gone. @throws LlmctlError `overruled` */
  readonly stop: (wish: Asker & { readonly force: boolean }) => Promise<Status>;
  /** `launch` is what the request carried, unchecked, or undefined to start the same one again. */
  readonly restart: (wish: Asker & { readonly launch: unknown; readonly llmctl: string | undefined }) => void;
  /** Something about the socket that people should know. */
  readonly onFailure: (text: string) => void;
}

/** A launch with a long environment is some 10 kB. */
const maxBodyBytes = 1 << 20;
/**
 * Events that wait for a reader that does not read, as one that is stopped (Ctrl-Z): some hundred. Then it is dropped.
 */
const maxWaitingBytes = 1 << 20;
/** For all readers together. */
const maxAllWaitingBytes = 4 << 20;
/** Commands of one user, and their followers. */
const share = { most: 128, ofDescriptors: 1 / 4 } as const;
/** Readers stay, and others need a connection for a moment. */
const readersShare = 1 / 2;
/** For what is still on its way to readers when the supervisor ends. */
const lastWordsMs = 1000;
/** Words about who asked are shown to people, on one line. */
const maxAskerLength = 100;

/**
 * The control socket of one supervisor: HTTP with JSON over a unix socket that only its user can open. `GET /status`,
 * `GET /metrics` (Prometheus text), `GET /events` (a stream, one JSON line an event; `?from=start` also what has
 * happened since the present start began), `POST /stop {force, by}`, `POST /restart {launch?, by, llmctl}`. Nobody can
 * make the supervisor wait.
 */
export class ControlServer {
  readonly #handlers: ControlHandlers;
  /** The oldest first. */
  readonly #readers = new Set<ServerResponse>();
  readonly #connections = new ConnectionLimit(share);
  /** The last one listens; earlier ones, whose sockets are gone, still have readers. */
  readonly #servers: Server[] = [];
  #socketPath = "";
  #inode: number | undefined;
  #onReader: () => void = () => undefined;
  /** Ends with the first reader of events. */
  readonly firstReader = new Promise<void>((resolve) => (this.#onReader = resolve));

  constructor(handlers: ControlHandlers) {
    this.#handlers = handlers;
  }

  get socketPath(): string {
    return this.#socketPath;
  }

  /**
   * Starts to listen at the first of these paths where that is possible, or moves there; readers of events stay. A
   * runtime folder may have vanished, as at the end of a login. The caller holds the profile's lock, so a socket file
   * that is there is a dead one.
   * @throws LlmctlError `foreign-folder`, `foreign-runtime-folder`; else the system's error of the last path.
   */
  async listen(socketPaths: readonly string[]): Promise<void> {
    let failure: unknown;
    for (const path of socketPaths) {
      try {
        ensureSocketFolder(path);
        return await this.#listenAt(path);
      } catch (error) {
        if (systemErrorCode(error) === undefined || error instanceof LlmctlError) throw error;
        failure = error;
      }
    }
    throw failure;
  }

  async #listenAt(socketPath: string): Promise<void> {
    // Before the new one is made: closing a server removes the file at its path, whoever made that.
    this.#servers.at(-1)?.close();
    rmSync(socketPath, { force: true });
    const server = createServer(httpLimits, (request, response) => {
      response.on("error", () => response.destroy()); // a reader that went away
      if (!this.#connections.takes(request)) return;
      this.#answer(request, response).catch((error: unknown) => refuse(response, error));
    });
    this.#connections.watch(server);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(socketPath, resolve);
    });
    server.on("error", (error) => {
      this.#handlers.onFailure(`the control socket: ${error.message}`);
      // While the system has no descriptor for a connection, it would be asked for one without end. Whoever looks after
      // the socket makes it anew.
      server.close();
    });
    chmodSync(socketPath, 0o600);
    this.#servers.push(server);
    this.#socketPath = socketPath;
    this.#inode = await readInode(socketPath);
  }

  /** Whether the file at its path is still its socket. */
  async isInPlace(): Promise<boolean> {
    return this.#inode !== undefined && (await readInode(this.#socketPath)) === this.#inode;
  }

  /** Sends an event to everyone who follows, and drops who has not read for long. */
  publish(event: StatusEvent): void {
    const line = `${JSON.stringify(event)}\n`;
    for (const reader of this.#readers) {
      if (reader.writableLength > maxWaitingBytes) reader.destroy();
      else reader.write(line);
    }
    this.#dropUnread();
  }

  /** Takes no new request and ends the event streams; answers that are under way still go out. */
  close(): void {
    try {
      rmSync(this.#socketPath, { force: true });
    } catch (error) {
      this.#handlers.onFailure(`cannot remove the control socket ${this.#socketPath}: ${String(error)}`);
    }
    this.#servers.at(-1)?.close();
    for (const reader of this.#readers) reader.end();
    this.#readers.clear();
    // One that does not read must not keep this process.
    setTimeout(() => {
      for (const server of this.#servers) server.closeAllConnections();
    }, lastWordsMs).unref();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    switch (`${request.method} ${request.url}`) {
      case "GET /status":
        return reply(response, this.#handlers.status());
      case "GET /metrics":
        return end(response, 200, await this.#handlers.metrics());
      case "GET /events":
        return this.#follow(request, response, [this.#handlers.lastEvent()]);
      case "GET /events?from=start":
        return this.#follow(request, response, this.#handlers.eventsOfStart());
      case "POST /stop": {
        const body = await readBody(request);
        this.#connections.hold(request);
        return reply(response, await this.#handlers.stop({ force: body["force"] === true, by: readAsker(body) }));
      }
      case "POST /restart": {
        const body = await readBody(request);
        const { launch, llmctl } = body;
        this.#handlers.restart({
          launch,
          by: readAsker(body),
          llmctl: typeof llmctl === "string" ? llmctl : undefined,
        });
        return reply(response, {});
      }
      default:
        return answerRefusal(response, 404, { message: `unknown request ${request.method} ${request.url}` });
    }
  }

  #follow(request: IncomingMessage, response: ServerResponse, events: readonly StatusEvent[]): void {
    this.#connections.hold(request);
    if (this.#readers.size >= this.#connections.most * readersShare) this.#drop(this.#findLaziest());
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    response.flushHeaders(); // there may be no event yet
    for (const event of events) response.write(`${JSON.stringify(event)}\n`);
    this.#readers.add(response);
    response.on("close", () => this.#readers.delete(response));
    this.#dropUnread();
    this.#onReader();
  }

  /** What waits for many readers together is bounded, too. */
  #dropUnread(): void {
    const waiting = () => [...this.#readers].reduce((sum, { writableLength }) => sum + writableLength, 0);
    while (this.#readers.size > 0 && waiting() > maxAllWaitingBytes) this.#drop(this.#findLaziest());
  }

  /** The reader for whom most is waiting; of those who have read all, the oldest. */
  #findLaziest(): ServerResponse | undefined {
    return [...this.#readers].toSorted((one, other) => other.writableLength - one.writableLength)[0];
  }

  #drop(reader: ServerResponse | undefined): void {
    if (reader === undefined) return;
    this.#readers.delete(reader);
    reader.destroy();
  }
}

async function readInode(path: string): Promise<number | undefined> {
  try {
    return (await lstat(path)).ino;
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return undefined; // gone, with or without its folder
  }
}

function readAsker({ by }: Record<string, unknown>): string {
  // A command of an older version does not say who it is.
  if (typeof by !== "string") return "another llmctl";
  return by.replaceAll(/[\p{Cc}\p{Cf}]/gu, "").slice(0, maxAskerLength);
}

function reply(response: ServerResponse, body: unknown): void {
  end(response, 200, { contentType: "application/json", text: JSON.stringify(body) });
}

function end(response: ServerResponse, status: number, { contentType, text }: MetricsText): void {
  if (!response.headersSent) response.writeHead(status, { "content-type": contentType, connection: "close" });
  response.socket?.setTimeout(unreadAnswerMs);
  response.end(text);
}

function refuse(response: ServerResponse, error: unknown): void {
  if (!(error instanceof LlmctlError)) return answerRefusal(response, 500, { message: String(error) });
  const { message, code, exit, fix } = error;
  answerRefusal(response, code === "bad-request" ? 400 : 409, {
    message,
    code,
    exit,
    ...(fix === undefined ? {} : { fix }),
  });
}

function answerRefusal(response: ServerResponse, status: number, refusal: Refusal): void {
  end(response, status, { contentType: "application/json", text: JSON.stringify(refusal) });
}

/** @throws LlmctlError `bad-request`, which quotes nothing: a launch holds the server's environment. */
async function readBody(request: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  const bytes = await collectBounded(request, maxBodyBytes);
  if (bytes === undefined) throw badRequest(`is larger than ${maxBodyBytes} bytes`);
  const body = parseJsonOrNothing(bytes.toString("utf8"));
  if (!isMap(body)) throw badRequest("is not a JSON object");
  return body;
}

function badRequest(what: string): LlmctlError {
  return new LlmctlError("bad-request", `the request ${what}`, { exit: "usage" });
}
