import { request } from "node:http";
import type { Endpoint } from "../../supervisor/launch.ts";

/** Every answer to our requests is shorter; a server that sends more is not llama-server. */
const maxAnswerBytes = 4 << 20;

/** An answer, read to its end. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

export interface HttpRequest {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly signal: AbortSignal;
  readonly apiKey?: string | undefined;
  readonly json?: unknown;
}

/**
 * Sends one request, without a time limit of its own.
 * @throws the system's error; an `AbortError` when the signal is aborted; an Error for a longer answer.
 */
export function send(endpoint: Endpoint, { method, path, signal, apiKey, json }: HttpRequest): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({
      ...connectOptions(endpoint),
      method,
      path,
      signal,
      agent: false,
      headers: {
        ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
        ...(json === undefined ? {} : { "content-type": "application/json" }),
      },
    });
    outgoing.on("error", reject);
    outgoing.on("response", (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > maxAnswerBytes) outgoing.destroy(new Error("the answer is too long for llama-server"));
        else chunks.push(chunk);
      });
      response.on("error", reject);
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString("utf8") }),
      );
    });
    outgoing.end(json === undefined ? undefined : JSON.stringify(json));
  });
}

/** Options for `request` of node:http. A server that listens on all addresses is reached through the loopback. */
export function connectOptions(
  endpoint: Endpoint,
): { readonly host: string; readonly port: number } | { readonly socketPath: string } {
  if ("socketPath" in endpoint) return endpoint;
  const { host, port } = endpoint;
  if (host === "0.0.0.0") return { host: "127.0.0.1", port };
  return { host: host === "::" ? "::1" : host, port };
}
