import type { Endpoint, Examination, Health, Launch, Proof } from "../../supervisor/launch.ts";
import { parseJson } from "../../base/text/parse-json.ts";
import { findStepMs, proofContextTokens } from "../draft/step-time.ts";
import { readApiKey } from "./api-keys.ts";
import { type HttpAnswer, type HttpRequest, send } from "./http-request.ts";

/**
 * Asks `/health` once: 200 is ready, 503 still loading. Needs no API key on any build.
 * @see llama.cpp tools/server/README.md, GET /health
 */
export async function checkHealth(endpoint: Endpoint, timeoutMs: number, signal: AbortSignal): Promise<Health> {
  // Not AbortSignal.timeout and AbortSignal.any: they stay in memory until the next full garbage collection, and this
  // function is called for months.
  const asking = new AbortController();
  const abort = () => asking.abort();
  let isTimeOver = false;
  const timer = setTimeout(() => {
    isTimeOver = true;
    abort();
  }, timeoutMs);
  signal.addEventListener("abort", abort);
  if (signal.aborted) abort();
  try {
    const { status } = await send(endpoint, { method: "GET", path: "/health", signal: asking.signal });
    return status === 200 ? "ready" : status === 503 ? "loading" : "error";
  } catch {
    // Refused, reset or aborted: the server is gone, or does not listen yet.
    return isTimeOver ? "timeout" : "unreachable";
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}

/**
 * Sends one greedy request for 64 tokens, after which the draft counters must have moved: no other sign of drafting
 * exists on every build. `draft_n` is absent, not 0, when nothing was drafted.
 * @throws Error when the server refuses, cannot be reached, or sends another kind of answer.
 */
export async function prove(launch: Launch, endpoint: Endpoint, signal: AbortSignal): Promise<Proof> {
  let requests = 0;
  const complete: Complete = (tokens, more) => {
    requests += 1;
    return generate(launch, endpoint, { tokens, ...more }, signal);
  };
  const timings = await complete(64);
  const draftTokens = readCount(timings["draft_n"]);
  const baselineTokensPerSecond =
    draftTokens > 0 && launch.watchTraffic ? await findBaseline(launch, complete) : undefined;
  return {
    requests,
    verdict:
      draftTokens === 0
        ? { state: "off", reason: "the proof request drafted no token" }
        : { state: "on", draftTokens, acceptedTokens: readCount(timings["draft_n_accepted"]) },
    tokensPerSecond: readCount(timings["predicted_per_second"]),
    baselineTokensPerSecond,
  };
}

type Timings = Readonly<Record<string, unknown>>;
type Complete = (tokens: number, more?: Pick<TokenRequest, "withoutDraft">) => Promise<Timings>;

/** Few enough for a slow server, and more than most builds draft at once. */
const baselineTokens = 16;

/**
 * The speed without a draft. What bench or tune has measured without the draft model comes first. Builds up to b8390
 * let a request turn drafting off, and then the draft is not evaluated (b7698: 25.2 ms of CPU time a token, as without
 * a draft model; v0.5.0: as with drafting). The same request without that field must draft, or the build may not honour
 * it and only have found nothing to draft. Newer builds evaluate a loaded draft in each step, so nothing that can be
 * measured there is the speed without a draft.
 * @returns tokens per second; undefined where it is not known.
 */
async function findBaseline({ costs }: Launch, complete: Complete): Promise<number | undefined> {
  if (costs !== undefined) return readSpeed(findStepMs(costs.stepMs, proofContextTokens));
  const timings = await complete(baselineTokens, { withoutDraft: true });
  if (timings["draft_n"] !== undefined || timings["predicted_n"] !== baselineTokens) return undefined;
  const drafted = await complete(baselineTokens);
  // The first token comes with the prompt.
  return readCount(drafted["draft_n"]) > 0
    ? readSpeed(readCount(timings["predicted_ms"]) / (baselineTokens - 1))
    : undefined;
}

function readSpeed(stepMs: number | undefined): number | undefined {
  return stepMs === undefined || stepMs === 0 ? undefined : 1000 / stepMs;
}

async function generate(
  launch: Launch,
  endpoint: Endpoint,
  request: TokenRequest,
  signal: AbortSignal,
): Promise<Timings> {
  const { status, body } = await askForTokens(launch, endpoint, request, signal);
  if (status !== 200) throw new Error(describeRefusal(status, body));
  return (parseJson(body) as { timings?: Timings }).timings ?? {};
}

/**
 * Asks for eight tokens. A server that has lost its GPU aborts, hangs, or answers 500 to every request. The supervisor
 * detects the first two itself, as soon as the server has to compute.
 */
export async function examine(launch: Launch, endpoint: Endpoint, signal: AbortSignal): Promise<Examination> {
  const makesNoText = ["--embeddings", "--embedding", "--rerank", "--reranking"].some((flag) =>
    launch.args.includes(flag),
  );
  try {
    if (makesNoText || (await isAsleep(launch, endpoint, signal))) return { result: "unknown" };
    const { status, body } = await askForTokens(launch, endpoint, { tokens: 8 }, signal);
    if (status === 200) return { result: "well" };
    return status === 500 ? { result: "broken", reason: describeRefusal(status, body) } : { result: "unknown" };
  } catch {
    // refused, reset, aborted or too late: the supervisor learns more from the health checks and the exit
    return { result: "unknown" };
  }
}

function describeRefusal(status: number, body: string): string {
  return `the server answered ${status}: ${body.slice(0, 200)}`;
}

interface TokenRequest {
  readonly tokens: number;
  /** Asks the server not to draft, which newer builds ignore. */
  readonly withoutDraft?: boolean;
}

function askForTokens(
  launch: Launch,
  endpoint: Endpoint,
  { tokens, withoutDraft = false }: TokenRequest,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  return sendWithKey(launch, endpoint, {
    method: "POST",
    path: "/v1/chat/completions",
    signal,
    json: {
      messages: [{ role: "user", content: "Tell me a story about an otter." }],
      max_tokens: tokens,
      temperature: 0,
      // Without this a reply may end at once, with nothing to draft.
      ignore_eos: true,
      ...(withoutDraft ? { "speculative.n_max": 0 } : {}),
    },
  });
}

/**
 * Whether a slot is processing a request.
 * @returns false when the server has no `/slots` (`--no-slots`), sleeps, or cannot be reached. Never throws.
 */
export async function isBusy(launch: Launch, endpoint: Endpoint, signal: AbortSignal): Promise<boolean> {
  try {
    const slots = await askSlots(launch, endpoint, signal);
    return (
      slots?.status === 200 &&
      (parseJson(slots.body) as { is_processing?: unknown }[]).some((slot) => slot.is_processing === true)
    );
  } catch {
    return false; // refused, reset, aborted, or another kind of answer: there is no request to wait for
  }
}

/** Requests `/slots`, which the main loop answers between two steps. */
export async function askMainLoop(launch: Launch, endpoint: Endpoint, signal: AbortSignal): Promise<void> {
  if (maySleep(launch)) return;
  try {
    await askSlots(launch, endpoint, signal);
  } catch {
    return; // refused, reset or aborted: the health check fails, too
  }
}

/**
 * The server's own Prometheus text; undefined without `--metrics`, for a server that may sleep, or when it cannot be
 * reached. Never rejects.
 */
export async function readMetrics(
  launch: Launch,
  endpoint: Endpoint,
  signal: AbortSignal,
): Promise<string | undefined> {
  const isAsked = launch.args.includes("--metrics") && !maySleep(launch);
  const metrics = isAsked ? await askAwake(launch, endpoint, "/metrics", signal).catch(() => undefined) : undefined;
  return metrics?.status === 200 ? metrics.body : undefined;
}

/**
 * Whether the server falls asleep after some time without requests. `/slots`, and on builds of January 2026 also
 * `/metrics`, would keep it awake.
 */
function maySleep({ args }: Launch): boolean {
  const flag = args.indexOf("--sleep-idle-seconds");
  return flag !== -1 && args[flag + 1] !== "-1";
}

/**
 * @returns undefined for a sleeping server: it has no requests, and `/slots` would wake it and make it load its model.
 */
function askSlots(launch: Launch, endpoint: Endpoint, signal: AbortSignal): Promise<HttpAnswer | undefined> {
  return askAwake(launch, endpoint, "/slots", signal);
}

async function askAwake(
  launch: Launch,
  endpoint: Endpoint,
  path: string,
  signal: AbortSignal,
): Promise<HttpAnswer | undefined> {
  if (await isAsleep(launch, endpoint, signal)) return undefined;
  return sendWithKey(launch, endpoint, { method: "GET", path, signal });
}

async function isAsleep(launch: Launch, endpoint: Endpoint, signal: AbortSignal): Promise<boolean> {
  const props = await sendWithKey(launch, endpoint, { method: "GET", path: "/props", signal });
  return props.status === 200 && (parseJson(props.body) as { is_sleeping?: unknown }).is_sleeping === true;
}

/**
 * The key that the server of each launch was last known to accept. Its key file may have changed or gone since then.
 */
const knownKeys = new WeakMap<Launch, string>();

/** Reads the key that a starting server will accept, for our requests to it. */
export function rememberApiKey(launch: Launch): void {
  const key = readApiKey(launch.apiKeyFile);
  if (key === undefined) knownKeys.delete(launch);
  else knownKeys.set(launch, key);
}

/** Sends a request with the server's key; after a 401 once more, with the key that the file has now. */
async function sendWithKey(
  launch: Launch,
  endpoint: Endpoint,
  outgoing: Omit<HttpRequest, "apiKey">,
): Promise<HttpAnswer> {
  if (!knownKeys.has(launch)) rememberApiKey(launch);
  const apiKey = knownKeys.get(launch);
  const answer = await send(endpoint, { ...outgoing, apiKey });
  if (answer.status !== 401) return answer;
  const other = readApiKey(launch.apiKeyFile);
  if (other === undefined || other === apiKey) return answer;
  const second = await send(endpoint, { ...outgoing, apiKey: other });
  if (second.status !== 401) knownKeys.set(launch, other);
  return second;
}

function readCount(value: unknown): number {
  return typeof value === "number" && value >= 0 && value <= Number.MAX_SAFE_INTEGER ? value : 0;
}
