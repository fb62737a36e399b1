import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { maskAddress } from "../../base/text/secrets.ts";
import { httpGet, type HubFetch, type HubResponse } from "./http-get.ts";
import { parseRetryAfter, TransientError } from "./retry.ts";

/** A way to talk to a server, with what every request needs. */
export interface HttpConnection {
  /**
   * The Hub's, without a slash at the end; undefined for a server that is to be none, which no token is ever sent to.
   */
  readonly endpoint?: string | undefined;
  readonly token?: string | undefined;
  readonly signal: AbortSignal;
  /** A transfer with no byte for this long is given up, and tried again. */
  readonly stallTimeoutMs: number;
  /** Another way than {@link httpGet}, such as through a proxy. */
  readonly fetch?: HubFetch | undefined;
}

/** A way to talk to the Hub. */
export interface HubConnection extends HttpConnection {
  readonly endpoint: string;
}

/** An answer whose body is being read under the stall guard. */
export interface HubAnswer {
  readonly response: HubResponse;
  /** The body's chunks; @throws TransientError when the line drops or stalls. */
  readonly chunks: AsyncIterable<Uint8Array>;
}

/**
 * Sends a GET; redirects are followed. The token goes to the Hub's own origin alone (a redirect that leaves that origin
 * drops it).
 * @param url Of the Hub or of any other server; the latter never sees the token.
 * @param use Reads the answer; the connection is closed when it returns.
 * @throws TransientError for what may pass (5xx, 429, a lost or stalled line), LlmctlError for other answers than 2xx.
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
  /** Lets the clock run; not while nobody asks for a byte, such as to keep to a rate. */
  readonly start: () => void;
  readonly stop: () => void;
  /** Stops the clock and lets go of the connection. */
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
    throw isLostLine(error) ? lostLine(error) : error;
  } finally {
    guard.stop();
  }
}

/** The system's errors and those of the HTTP client have a code, except that of an answer that is not HTTP. */
function isLostLine(error: unknown): error is Error {
  return systemErrorCode(error) !== undefined || (error instanceof Error && error.name === "HTTPParserError");
}

function lostLine(cause: Error): TransientError {
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
  // A signed address on another host that no longer holds is asked for again where it came from.
  const passes = status >= 500 || [408, 416, 425, 429].includes(status) || (hasMoved && [401, 403].includes(status));
  if (passes) {
    return new TransientError(`${host} answered ${status}`, {
      retryAfterMs: parseRetryAfter(response.headers.get("retry-after"), Date.now()),
    });
  }
  const at = maskAddress(response.url.split("?")[0] ?? "");
  if (status === 401 || status === 403) {
    return new LlmctlError("hub-denied", `${host} does not give access (status ${status})`, {
      exit: "permission",
      at,
      fix: isHub
        ? deniedFix(hub)
        : "use an address that needs no login; a model on Hugging Face is written { hf, file }, and HF_TOKEN sent there alone",
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
