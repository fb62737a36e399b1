import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { maskAddress } from "../../base/text/secrets.ts";
import { httpGet, type HubFetch, type HubResponse } from "./http-get.ts";
import { parseRetryAfter, TransientError } from "./retry.ts";

/** Settings of the requests to one server. */
export interface HttpConnection {
  /** The address of the Hub, without a slash at the end; undefined for other servers, which never get a token. */
  readonly endpoint?: string | undefined;
  readonly token?: string | undefined;
  readonly signal: AbortSignal;
  /** A transfer without a byte for this long fails with a TransientError. */
  readonly stallTimeoutMs: number;
  /** Replaces {@link httpGet}. */
  readonly fetch?: HubFetch | undefined;
}

/** Settings of the requests to the Hub. */
export interface HubConnection extends HttpConnection {
  readonly endpoint: string;
}

/** An answer whose body is being read under the stall guard. */
export interface HubAnswer {
  readonly response: HubResponse;
  /** The chunks of the body; @throws TransientError when the connection drops or stalls. */
  readonly chunks: AsyncIterable<Uint8Array>;
}

/**
 * Sends a GET and follows redirects. The token goes only to the Hub's own origin; a redirect to another origin drops
 * it.
 * @param url An address of the Hub, or of any other server, which never gets the token.
 * @param use Reads the answer. The request ends when it returns.
 * @throws TransientError for a failure that a retry may cure (5xx, 429, a lost or stalled connection); LlmctlError for
 *   other statuses than 2xx.
 */
export async function getFromHub<T>(
  url: string,
  headers: Readonly<Record<string, string>>,
  hub: HttpConnection,
  use: (answer: HubAnswer) => Promise<T>,
): Promise<T> {
  const guard = guardStall(hub);
  try {
    const response = await duringTransfer(
      () => (hub.fetch ?? httpGet)(url, { headers: { ...headers, ...authorize(url, hub) }, signal: guard.signal }),
      guard,
    );
    if (!response.ok) throw answerError(url, response, hub);
    return await use({ response, chunks: readChunks(response, guard) });
  } finally {
    guard.end();
  }
}

interface StallGuard {
  readonly signal: AbortSignal;
  /** Starts the clock. It stands still while nobody waits for a byte, for example because of a rate limit. */
  readonly start: () => void;
  readonly stop: () => void;
  /** Stops the clock and ends the request. */
  readonly end: () => void;
}

function guardStall({ signal, stallTimeoutMs }: HttpConnection): StallGuard {
  const own = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const onStall = () => own.abort(new TransientError(`no byte for ${stallTimeoutMs / 1000} s`));
  const stop = () => clearTimeout(timer);
  return {
    signal: AbortSignal.any([signal, own.signal]),
    start: () => void (timer = setTimeout(onStall, stallTimeoutMs)),
    stop,
    end: () => {
      stop();
      own.abort();
    },
  };
}

async function* readChunks({ body }: HubResponse, guard: StallGuard): AsyncGenerator<Uint8Array> {
  if (body === null) return;
  const iterator = body[Symbol.asyncIterator]();
  for (;;) {
    const { done, value } = await duringTransfer(() => iterator.next(), guard);
    if (done === true) return;
    yield value;
  }
}

/** @throws TransientError for a failure of the connection or of HTTP. */
async function duringTransfer<T>(step: () => Promise<T>, guard: StallGuard): Promise<T> {
  guard.start();
  try {
    return await step();
  } catch (error) {
    guard.signal.throwIfAborted();
    throw isConnectionError(error) ? connectionLost(error) : error;
  } finally {
    guard.stop();
  }
}

/** The system's errors and those of the HTTP client have a code, except that of an answer that is not HTTP. */
function isConnectionError(error: unknown): error is Error {
  return systemErrorCode(error) !== undefined || (error instanceof Error && error.name === "HTTPParserError");
}

function connectionLost(cause: Error): TransientError {
  return new TransientError(cause.message || systemErrorCode(cause) || "the connection was lost", { cause });
}

function authorize(url: string, hub: HttpConnection): Record<string, string> {
  return hub.token !== undefined && isOfHub(url, hub) ? { authorization: `Bearer ${hub.token}` } : {};
}

function isOfHub(url: string, { endpoint }: HttpConnection): boolean {
  return endpoint !== undefined && new URL(url).origin === new URL(endpoint).origin;
}

function answerError(url: string, response: HubResponse, hub: HttpConnection): Error {
  const { status } = response;
  const host = new URL(response.url).host;
  const hasMoved = new URL(response.url).origin !== new URL(url).origin;
  const isHub = isOfHub(url, hub);
  // An expired signed address on another host: the next attempt asks the Hub for a new one.
  const passes = status >= 500 || [408, 416, 425, 429].includes(status) || (hasMoved && [401, 403].includes(status));
  if (passes) {
    return new TransientError(`${host} answered ${status}`, {
      retryAfterMs: parseRetryAfter(response.headers.get("retry-after"), Date.now()),
    });
  }
  const at = maskAddress(response.url.split("?")[0] ?? "");
  if (status === 401 || status === 403) {
    return new LlmctlError("hub-denied", `${host} denies access (status ${status})`, {
      exit: "permission",
      at,
      fix: isHub
        ? deniedFix(hub)
        : "use an address that needs no login, or { hf, file } for a model on Hugging Face, which alone gets HF_TOKEN",
    });
  }
  if (status === 404) {
    const what = isHub ? "no such repository, revision or file" : "no such file";
    return new LlmctlError("hub-not-found", `${host} has ${what} (status 404)`, {
      exit: "missingFile",
      at,
      fix: isHub ? "check the repository, revision and quant or file" : "check the address",
    });
  }
  return new LlmctlError("hub-error", `${host} answered ${status}`, {
    exit: "unavailable",
    at,
    fix: isHub ? "check HF_ENDPOINT, or try again later" : "check the address, or try again later",
  });
}

function deniedFix({ endpoint = "", token }: HttpConnection): string {
  const hub = maskAddress(endpoint);
  return token === undefined
    ? `check the repository's name; if it is private or gated, accept its licence on ${hub} and set HF_TOKEN`
    : `accept the repository's licence on ${hub}, and check that HF_TOKEN is valid and may read it`;
}
