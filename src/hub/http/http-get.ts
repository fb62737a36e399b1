import { get as getHttp, type IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { get as getHttps } from "node:https";
import { LlmctlError } from "../../base/errors.ts";

/** As much of `fetch` as the Hub needs. */
export type HubFetch = (
  url: string,
  init: { readonly headers: Readonly<Record<string, string>>; readonly signal: AbortSignal },
) => Promise<HubResponse>;

/** As much of a `Response` as the Hub needs. */
export interface HubResponse extends Pick<Response, "status" | "ok" | "url" | "headers"> {
  readonly body: AsyncIterable<Uint8Array> | null;
}

const redirectStatus = [301, 302, 303, 307, 308];
/** As many as `fetch` follows. */
const maxRedirects = 20;

/**
 * Stops a body of a redirect that has no end. A short one is read, which leaves the connection fit for the next
 * request.
 */
const longestRedirectBytes = 64 << 10;

/** An answer, and where it leads on. */
interface Hop {
  readonly answer: HubResponse;
  /** Lets go of an answer that is not the last. */
  readonly skip: () => void;
}

/**
 * Follows redirects. The `authorization` goes to the origin that was asked for alone, however they lead on.
 * @throws LlmctlError `bad-redirect` for one that leads to no web address, such as `file:` or half an address: it will
 *   lead there again.
 */
export function followRedirects(ask: (address: URL, init: Parameters<HubFetch>[1]) => Promise<Hop>): HubFetch {
  return async (url, { headers, signal }) => {
    let address = new URL(url);
    let sent = { "user-agent": "llmctl", ...headers };
    for (let redirects = 0; ; redirects += 1) {
      const { answer, skip } = await ask(address, { headers: sent, signal });
      const location = answer.headers.get("location");
      if (!redirectStatus.includes(answer.status) || location === null || redirects === maxRedirects) return answer;
      skip();
      const next = resolveRedirect(location, address);
      if (next.origin !== address.origin) sent = withoutAuthorization(sent);
      address = next;
    }
  };
}

function resolveRedirect(location: string, from: URL): URL {
  const next = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  if (next !== undefined && ["http:", "https:"].includes(next.protocol)) return next;
  const where = next === undefined ? "what is no address" : `an address with "${next.protocol.slice(0, 40)}"`;
  throw new LlmctlError("bad-redirect", `${from.host} leads to ${where}, which is not followed`, {
    exit: "unavailable",
    at: from.origin + from.pathname,
    fix: "check the address, or HF_ENDPOINT, and proxies on the way",
  });
}

/**
 * A `fetch` as far as the Hub needs it, which takes a third of the memory: it copies no chunk once more, and loads
 * less.
 * @throws the signal's reason, the system's error of a connection that is lost, or as {@link followRedirects}.
 */
export const httpGet: HubFetch = followRedirects(async (address, { headers, signal }) => {
  const body = await request(address, headers, signal);
  const { statusCode: status = 0, headers: received } = body;
  const fields = Object.entries(received).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, String(value)] as [string, string]],
  );
  const answer = { status, ok: status >= 200 && status < 300, url: address.href, headers: new Headers(fields), body };
  return { answer, skip: () => skipBody(body) };
});

function skipBody(body: IncomingMessage): void {
  let bytes = 0;
  body.on("error", () => undefined); // of an answer that nobody reads
  body.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > longestRedirectBytes) body.destroy();
  });
}

function withoutAuthorization(headers: Readonly<Record<string, string>>): { "user-agent": string } {
  return {
    "user-agent": "llmctl",
    ...Object.fromEntries(Object.entries(headers).filter(([name]) => name !== "authorization")),
  };
}

const listened = new WeakSet<Socket>();

/**
 * The request tells what goes wrong on its connection. Where it was let go of between the answer's end and the next
 * request, the connection has the error alone, and without a listener it would end this process.
 */
function listenOnce(socket: Socket): void {
  if (listened.has(socket)) return;
  listened.add(socket);
  socket.on("error", () => undefined);
}

function request(
  address: URL,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const get = address.protocol === "https:" ? getHttps : getHttp;
    const outgoing = get(address, { headers, signal }, resolve);
    outgoing.on("error", reject);
    outgoing.on("socket", listenOnce);
    // Nobody asked to change the protocol: without a listener, the request would have no end.
    outgoing.on("upgrade", (answer, socket) => {
      socket.on("error", () => undefined);
      socket.destroy();
      resolve(answer);
    });
  });
}
