import { setImmediate as nextTurn } from "node:timers/promises";
import type { Dispatcher } from "undici";
import { LlmctlError } from "../../base/errors.ts";
import { makeHttpClient, type HttpClient } from "./http-client.ts";

/** The part of `fetch` that downloads need. */
export type HubFetch = (
  url: string,
  init: { readonly headers: Readonly<Record<string, string>>; readonly signal: AbortSignal },
) => Promise<HubResponse>;

/** The part of a `Response` that downloads need. */
export interface HubResponse extends Pick<Response, "status" | "ok" | "url"> {
  readonly headers: Pick<Headers, "get">;
  readonly body: AsyncIterable<Uint8Array> | null;
}

const redirectStatus = [301, 302, 303, 307, 308];
/** The limit of `fetch`. */
const maxRedirects = 20;

/**
 * Limits the body of a redirect, which may be endless. A short body is read to its end, so that its connection stays
 * usable.
 */
const maxRedirectBodyBytes = 64 << 10;

let made: Promise<HttpClient> | undefined;
/** Requests that have no answer yet. */
let pending = 0;

/**
 * Sends a GET and follows redirects. The `authorization` header goes only to the origin that was asked first.
 * @throws the signal's reason, an error with a code when the connection fails, or LlmctlError `bad-redirect` for a
 *   redirect to anything but a web address, such as `file:` or half an address: a retry would meet it again.
 */
export const httpGet: HubFetch = async (url, { headers, signal }) => {
  const client = await (made ??= makeHttpClient(process.env));
  // A connection is free for the next request one turn of the event loop after the end of an answer.
  await nextTurn();
  let address = new URL(url);
  let sent = { "user-agent": "llmctl", ...headers };
  for (let redirects = 0; ; redirects += 1) {
    const answer = await request(client, address, { headers: sent, signal });
    const location = getHeader(answer, "location");
    if (!redirectStatus.includes(answer.statusCode) || location === null || redirects === maxRedirects)
      return toResponse(answer, address);
    // The end of that body is not awaited; the signal ends it as well.
    void answer.body.dump({ limit: maxRedirectBodyBytes });
    const next = resolveRedirect(location, address);
    if (next.origin !== address.origin) sent = withoutAuthorization(sent);
    address = next;
  }
};

function resolveRedirect(location: string, from: URL): URL {
  const next = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  if (next !== undefined && ["http:", "https:"].includes(next.protocol)) return next;
  const where = next === undefined ? "something that is not an address" : `a "${next.protocol.slice(0, 40)}" address`;
  throw new LlmctlError("bad-redirect", `${from.host} redirects to ${where}, which llmctl does not follow`, {
    exit: "unavailable",
    at: from.origin + from.pathname,
    fix: "check the address, HF_ENDPOINT, and any proxy on the way",
  });
}

function withoutAuthorization(headers: Readonly<Record<string, string>>): { "user-agent": string } {
  const kept = Object.entries(headers).filter(([name]) => name !== "authorization");
  return { "user-agent": "llmctl", ...Object.fromEntries(kept) };
}

type Answer = Dispatcher.ResponseData;

/** The library looks at the signal only once there is a connection, so this looks at it before that. */
function request(
  { dispatcher, dropConnecting }: HttpClient,
  address: URL,
  { headers, signal }: Parameters<HubFetch>[1],
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    pending += 1;
    const settle = () => {
      signal.removeEventListener("abort", onAbort);
      pending -= 1;
      if (pending === 0) dropConnecting();
    };
    const onAbort = () => {
      settle();
      reject(signal.reason as Error);
    };
    signal.addEventListener("abort", onAbort);
    dispatcher
      .request({
        origin: address.origin,
        path: address.pathname + address.search,
        method: "GET",
        headers: { ...authorize(address), ...headers },
        signal,
        // The stall guard of the caller decides how long a server may be silent.
        headersTimeout: 0,
        bodyTimeout: 0,
      })
      .finally(() => signal.aborted || settle())
      .then(resolve, reject);
  });
}

/** An address may carry a name and a password, as that of a mirror does. */
function authorize({ username, password }: URL): Record<string, string> {
  if (username === "" && password === "") return {};
  const [name, secret] = [username, password].map(decodePart);
  return { authorization: `Basic ${Buffer.from(`${name}:${secret}`).toString("base64")}` };
}

/** A redirect may lead to an address with half an escape sequence. */
function decodePart(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function toResponse(answer: Answer, address: URL): HubResponse {
  const { statusCode: status, body } = answer;
  const headers = { get: (name: string) => getHeader(answer, name) };
  return { status, ok: status >= 200 && status < 300, url: address.href, headers, body };
}

/** Of these a message has one; of one that is repeated Node takes the first, too. */
const singleHeaders: readonly string[] = ["content-length", "content-type", "etag", "location", "retry-after"];

function getHeader({ headers }: Answer, name: string): string | null {
  const value = headers[name];
  if (!Array.isArray(value)) return value ?? null;
  return singleHeaders.includes(name) ? (value[0] ?? null) : value.join(", ");
}
