import { execa } from "execa";
import type { DraftVerdict } from "../../src/llama/draft/draft-gate.ts";
import type { VocabRule } from "../../src/llama/draft/build-vocab-rule.ts";

/** The behaviour of a server in the gate's terms, and the line, status or signal that shows it. */
export interface Observed {
  readonly outcome: DraftVerdict["llamaCpp"] | "never-drafts";
  readonly evidence: string;
}

export interface ServerQuestion {
  readonly server: string;
  readonly rule: VocabRule;
  readonly target: string;
  readonly draft: string | undefined;
  readonly type: string;
}

/** A hang, which none of these models explains. */
const limitMs = 300_000;

/** Starts a real server with a pair, sends it one short request and ends it. */
export async function observeServer(question: ServerQuestion): Promise<Observed> {
  const child = execa(question.server, serverArgs(question), {
    env: { PATH: process.env["PATH"] ?? "", HOME: "/nonexistent", GGML_NO_BACKTRACE: "1" },
    extendEnv: false,
    stdin: "ignore",
    all: true,
    reject: false,
    timeout: limitMs,
    killSignal: "SIGKILL",
  });
  const lines: string[] = [];
  let observed: Observed | undefined;
  try {
    for await (const line of child.iterable({ from: "all" })) {
      lines.push(line);
      const url = /listening on (http:\/\/\S+)/.exec(line)?.[1];
      if (url === undefined) continue;
      observed = await observeRequest(question, url, lines.join("\n"));
      child.kill("SIGKILL");
    }
  } finally {
    child.kill("SIGKILL");
    await child;
  }
  return observed ?? describeEnd(await child, lines);
}

interface End {
  readonly exitCode?: number | undefined;
  readonly signal?: NodeJS.Signals | undefined;
  readonly timedOut: boolean;
}

function describeEnd({ exitCode, signal, timedOut }: End, lines: readonly string[]): Observed {
  if (timedOut)
    throw new Error(`llama-server neither served nor ended within ${limitMs} ms:\n${lines.slice(-5).join("\n")}`);
  const last = lines.findLast((line) => / E |error|assert|failed/i.test(line)) ?? lines.at(-1) ?? "";
  return signal === undefined
    ? { outcome: "exits", evidence: `exit code ${exitCode}: ${last}` }
    : { outcome: "aborts", evidence: `${signal}: ${last}` };
}

function serverArgs({ rule, target, draft, type }: ServerQuestion): string[] {
  const typed = rule === "strict" ? ["--spec-type", type] : [];
  const drafting = draft === undefined ? [] : ["--model-draft", draft, "--draft-p-min", "0"];
  // Small batches: for each of their tokens, memory is set aside for as many numbers as there are tokens in the
  // vocabulary.
  const small = [
    "--ctx-size",
    "256",
    "--batch-size",
    "32",
    "--ubatch-size",
    "32",
    "--parallel",
    "1",
    "--threads",
    "1",
    "--threads-batch",
    "1",
  ];
  return [
    "--model",
    target,
    ...drafting,
    ...typed,
    ...small,
    "--fit",
    "off",
    "--no-warmup",
    "--host",
    "127.0.0.1",
    "--port",
    "0",
  ];
}

/** Tokens as ids, since not every vocabulary can express a given text. */
const request = { prompt: [6, 7, 8], n_predict: 8, temperature: 0, ignore_eos: true };

interface Completion {
  readonly timings: { readonly draft_n?: number };
}

async function observeRequest({ type }: ServerQuestion, url: string, log: string): Promise<Observed> {
  const failed = /^.*failed to initialize speculative decoding context.*$/m.exec(log)?.[0];
  const translated = /^.*tokens will be translated.*$/m.exec(log)?.[0];
  const slots = (await (await fetch(`${url}/slots`)).json()) as readonly { readonly speculative: boolean }[];
  const answer = await complete(url);
  // Whether a translation also breaks the request depends on the generated tokens.
  if (translated !== undefined) return { outcome: "translates", evidence: translated };
  if (answer.failure !== undefined) return { outcome: "breaks-requests", evidence: answer.failure };
  if (failed !== undefined || !slots.some((slot) => slot.speculative)) {
    return { outcome: "serves-without-drafting", evidence: failed ?? "no slot is speculative" };
  }
  // The drafts of an n-gram type depend on the text, so its counter may stay at 0.
  const drafts = answer.drafted > 0 || type.startsWith("ngram-");
  return { outcome: drafts ? "drafts" : "never-drafts", evidence: `draft_n ${answer.drafted}` };
}

async function complete(url: string): Promise<{ readonly drafted: number; readonly failure?: string }> {
  const response = await fetch(`${url}/completion`, {
    method: "POST",
    body: JSON.stringify(request),
    headers: { "content-type": "application/json" },
    signal: AbortSignal.timeout(limitMs),
  }).catch(asDeath);
  if (response === undefined) return { drafted: 0, failure: "the server died on the first request" };
  const text = await response.text();
  if (!response.ok) return { drafted: 0, failure: `${response.status}: ${text}` };
  return { drafted: (JSON.parse(text) as Completion).timings.draft_n ?? 0 };
}

/** `fetch` throws a TypeError when the connection ends before an answer. */
function asDeath(error: unknown): undefined {
  if (!(error instanceof TypeError)) throw error;
}
