import { chmodSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Status, StatusEvent } from "./messages.ts";
import type { MetricsText } from "./metrics-server.ts";

/** What a supervisor lets others do. */
export interface ControlHandlers {
  readonly status: () => Status;
  readonly metrics: () => Promise<MetricsText>;
  /** The present status as an event, for a reader that just came. */
  readonly lastEvent: () => StatusEvent;
  /** Resolves when the server and the lock are gone. */
  readonly stop: (force: boolean) => Promise<Status>;
  /** `launch` is what the request carried, unchecked, or undefined to start the same one again. */
  readonly restart: (launch: unknown) => void;
}

/** A launch with a long environment is some 10 kB. */
const maxBodyBytes = 1 << 20;

/**
 * The control socket of one supervisor: HTTP with JSON over a unix socket that only its user can open.
 * `GET /status`, `GET /metrics` (Prometheus text), `GET /events` (a stream, one JSON line an event), `POST /stop {force}`, `POST /restart {launch?}`.
 */
export class ControlServer {
  readonly #handlers: ControlHandlers;
  readonly #server: Server;
  readonly #readers = new Set<ServerResponse>();
  readonly #socketPath: string;

  constructor(socketPath: string, handlers: ControlHandlers) {
    this.#socketPath = socketPath;
    this.#handlers = handlers;
    this.#server = createServer({ requestTimeout: 5000 }, (request, response) => {
      this.#answer(request, response).catch((error: unknown) => refuse(response, 500, String(error)));
    });
  }

  /** Starts to listen. The caller holds the profile's lock, so a socket file that is there is a dead one. @throws the system's error. */
  async listen(): Promise<void> {
    rmSync(this.#socketPath, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(this.#socketPath, resolve);
    });
    chmodSync(this.#socketPath, 0o600);
  }

  /** Sends an event to everyone who follows. */
  publish(event: StatusEvent): void {
    const line = `${JSON.stringify(event)}\n`;
    for (const reader of this.#readers) reader.write(line);
  }

  /** Takes no new request and ends the event streams; answers that are under way still go out. */
  close(): void {
    rmSync(this.#socketPath, { force: true });
    this.#server.close();
    for (const reader of this.#readers) reader.end();
    this.#readers.clear();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    switch (`${request.method} ${request.url}`) {
      case "GET /status":
        return reply(response, this.#handlers.status());
      case "GET /metrics":
        return replyText(response, await this.#handlers.metrics());
      case "GET /events":
        return this.#follow(response);
      case "POST /stop":
        return reply(response, await this.#handlers.stop((await readBody(request))["force"] === true));
      case "POST /restart":
        this.#handlers.restart((await readBody(request))["launch"]);
        return reply(response, {});
      default:
        return refuse(response, 404, `unknown request ${request.method} ${request.url}`);
    }
  }

  #follow(response: ServerResponse): void {
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    response.write(`${JSON.stringify(this.#handlers.lastEvent())}\n`);
    this.#readers.add(response);
    response.on("close", () => this.#readers.delete(response));
  }
}

function reply(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { "content-type": "application/json", connection: "close" });
  response.end(JSON.stringify(body));
}

function replyText(response: ServerResponse, { contentType, text }: MetricsText): void {
  response.writeHead(200, { "content-type": contentType, connection: "close" });
  response.end(text);
}

function refuse(response: ServerResponse, status: number, message: string): void {
  if (!response.headersSent) response.writeHead(status, { "content-type": "application/json", connection: "close" });
  response.end(JSON.stringify({ message }));
}

async function readBody(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += (chunk as Buffer).length;
    if (bytes > maxBodyBytes) throw new Error(`the request is larger than ${maxBodyBytes} bytes`);
    chunks.push(chunk as Buffer);
  }
  const body: unknown = JSON.parse(Buffer.concat(chunks).toString("utf8"));
  if (typeof body !== "object" || body === null) throw new Error("the request is not a JSON object");
  return body as Record<string, unknown>;
}
