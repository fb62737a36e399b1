import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  /** Parsed JSON; undefined for an empty body. */
  readonly body: unknown;
}

type Answer = (response: ServerResponse, asked: Asked) => void;

/** An HTTP server on the loopback whose answers a test gives. */
export class AnsweringServer implements AsyncDisposable {
  answer: Answer = (response) => void response.writeHead(500).end();
  readonly asked: Asked[] = [];
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      let text = "";
      request.setEncoding("utf8").on("data", (piece: string) => (text += piece));
      request.on("end", () => {
        const { method = "", url: path = "", headers } = request;
        const body: unknown = text === "" ? undefined : JSON.parse(text);
        const asked = { method, path, authorization: headers.authorization, body };
        this.asked.push(asked);
        this.answer(response, asked);
      });
    });
  }

  static async listen(): Promise<AnsweringServer> {
    const listening = new AnsweringServer();
    listening.#server.listen(0, "127.0.0.1");
    await once(listening.#server, "listening");
    return listening;
  }

  get endpoint(): { readonly host: string; readonly port: number } {
    return { host: "127.0.0.1", port: (this.#server.address() as AddressInfo).port };
  }

  get url(): string {
    return `http://127.0.0.1:${this.endpoint.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}

/** The events of a streamed answer. */
export function events(...values: readonly unknown[]): string {
  return values.map((value) => `data: ${typeof value === "string" ? value : JSON.stringify(value)}\n\n`).join("");
}
