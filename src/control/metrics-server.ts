import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { systemErrorCode } from "../base/errors.ts";
import { ConnectionLimit, httpLimits, unreadAnswerMs } from "./connection-limit.ts";

/** Prometheus text with its HTTP content type. */
export interface MetricsText {
  readonly contentType: string;
  readonly text: string;
}

interface MetricsServerOptions {
  readonly read: () => Promise<MetricsText>;
  readonly onFailure: (text: string) => void;
}

/** For Prometheus and a few people, though anyone who reaches the port can connect. */
const share = { most: 32, ofDescriptors: 1 / 8 } as const;

const pauseMs = 1000;
const shortageCodes: ReadonlySet<string> = new Set(["EMFILE", "ENFILE"]);

interface ListenAddress {
  readonly host: string;
  readonly port: number;
  /** Both. */
  readonly address: string;
}

/** Serves `GET /metrics` on a TCP port for Prometheus. Reads no body and changes nothing. */
export class MetricsServer {
  readonly #options: MetricsServerOptions;
  readonly #connections = new ConnectionLimit(share);
  #server: Server | undefined;
  #address = "";
  #pausing: NodeJS.Timeout | undefined;

  constructor(options: MetricsServerOptions) {
    this.#options = options;
  }

  /**
   * Listens on this address only; port 0 stops listening. Waits while no descriptor is free. Safe to repeat.
   * @throws the system's error; then it listens nowhere.
   */
  async listen(host: string, port: number): Promise<void> {
    const place: ListenAddress = { host, port, address: port === 0 ? "" : `${host} ${port}` };
    if (place.address === this.#address) return;
    this.close();
    if (port === 0) return;
    this.#address = place.address;
    try {
      await this.#open(place);
    } catch (error) {
      if (shortageCodes.has(systemErrorCode(error) ?? "")) return this.#pause(place, error);
      this.close();
      throw error;
    }
  }

  async #open(place: ListenAddress): Promise<void> {
    const { host, port, address } = place;
    const server = createServer(httpLimits, (request, response) => this.#answer(request, response));
    this.#connections.watch(server);
    server.setTimeout(unreadAnswerMs);
    server.listen(port, host);
    await once(server, "listening");
    server.on("error", (error) => this.#pause(place, error));
    if (address === this.#address) this.#server = server;
    else server.close(); // listen() was called with another address meanwhile
  }

  close(): void {
    clearTimeout(this.#pausing);
    this.#server?.close();
    this.#server?.closeAllConnections();
    this.#server = undefined;
    this.#address = "";
  }

  /** Stops listening while no descriptor is free: Node would retry the accept in a busy loop. */
  #pause(place: ListenAddress, error: unknown): void {
    if (place.address !== this.#address) return;
    this.close();
    this.#address = place.address;
    this.#options.onFailure(
      `no metrics on port ${place.port} for a moment: ${error instanceof Error ? error.message : String(error)}`,
    );
    const again = () => void this.#open(place).catch((failure: unknown) => this.#pause(place, failure));
    this.#pausing = setTimeout(again, pauseMs).unref();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    response.on("error", () => response.destroy()); // a reader that went away
    if (!this.#connections.takes(request)) return;
    response.setHeader("connection", "close");
    const isRead = request.method === "GET" || request.method === "HEAD";
    if (!isRead) return void response.writeHead(405, { allow: "GET, HEAD" }).end();
    if (request.url?.split("?", 1)[0] !== "/metrics") return void response.writeHead(404).end();
    this.#options.read().then(
      ({ contentType, text }) => {
        response.writeHead(200, { "content-type": contentType, "content-length": Buffer.byteLength(text) }).end(text);
      },
      (error: unknown) => {
        // The reason names files of ours: for the owner's eyes, not for the network.
        this.#options.onFailure(`cannot render the metrics: ${String(error)}`);
        response.writeHead(500).end();
      },
    );
  }
}
