import { once } from "node:events";
import { createServer, type Server } from "node:http";

/** Prometheus text, and how it is called in HTTP. */
export interface MetricsText {
  readonly contentType: string;
  readonly text: string;
}

/** `GET /metrics` on a TCP port, for Prometheus. */
export class MetricsServer {
  readonly #read: () => Promise<MetricsText>;
  #server: Server | undefined;
  #address = "";

  constructor(read: () => Promise<MetricsText>) {
    this.#read = read;
  }

  /** Moves to this address; port 0 listens nowhere. Safe to repeat. @throws the system's error, and listens nowhere then. */
  async listen(host: string, port: number): Promise<void> {
    const address = port === 0 ? "" : `${host} ${port}`;
    if (address === this.#address) return;
    this.close();
    if (port === 0) return;
    const server = createServer({ requestTimeout: 5000 }, (request, response) => {
      response.on("error", () => response.destroy()); // a reader that went away
      if (request.url !== "/metrics") return response.writeHead(404).end();
      this.#read().then(
        ({ contentType, text }) => response.writeHead(200, { "content-type": contentType }).end(text),
        (error: unknown) => response.writeHead(500).end(String(error)),
      );
    });
    server.listen(port, host);
    await once(server, "listening");
    // What fails later, such as a connection for which there is no descriptor, is that connection's matter.
    server.on("error", () => undefined);
    this.#server = server;
    this.#address = address;
  }

  close(): void {
    this.#server?.close();
    this.#server?.closeAllConnections();
    this.#server = undefined;
    this.#address = "";
  }
}
