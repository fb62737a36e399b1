import type { BenchReport, ReportedSetting } from "../../src/bench/bench-report.ts";
import type { Estimate, Verdict } from "../../src/bench/estimate.ts";
import type { Measurement, Round } from "../../src/bench/measurement.ts";
import { formatEstimate } from "../../src/bench/number-words.ts";
import { hostileName } from "./hostile-text.ts";

/* Reports as real runs give them, with numbers that are the same in each run of the tests. */

/** Text that would do harm as HTML, in an attribute, in a style, or as a command. */
export const hostileMarkup = [
  '</title><script>alert("title")</script>',
  `"><img src=x onerror='alert(1)'>`,
  "</style><style>*{display:none}</style>",
  "<svg/onload=alert(2)> &lt;b&gt; &amp;",
  "--> ]]> ${process.exit(1)} `id` $(id)",
  "javascript:alert(3) https://example.com/x.js",
];

/** Numbers that look random, from 0 to 1. @see mulberry32 */
function numbersFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** A kind of prompts and what drafting does to it. */
interface Kind {
  readonly name: string;
  readonly excerpts: readonly string[];
  readonly speedup: number;
}

interface Situation {
  readonly kinds: readonly Kind[];
  readonly passes: number;
  /** Without drafting. */
  readonly msPerToken: number;
  /** Standard deviation of a measured time, as a share. */
  readonly noise: number;
  readonly acceptedByPosition: readonly number[];
  readonly seed: number;
}

function makeRounds({ kinds, passes, msPerToken, noise, acceptedByPosition, seed }: Situation): Round[] {
  const next = numbersFrom(seed);
  const wobble = () => Math.exp(noise * (next() + next() + next() + next() - 2) * 1.7);
  const accepted = acceptedByPosition.reduce((sum, share) => sum + share, 0);
  const prompts = promptsOf(kinds);
  const own = prompts.map((prompt) => ({ ...prompt, pace: Math.exp((next() - 0.5) * 0.2) }));
  return Array.from({ length: passes }, (_, pass) => pass).flatMap((pass) =>
    own.map(({ id, speedup, pace }, index): Round => {
      const tokens = 96 + Math.floor(next() * 64);
      const steps = tokens / (1 + accepted);
      const measure = (ms: number, drafts: boolean): Measurement => ({
        tokens,
        generateMs: tokens * ms * pace * wobble(),
        cpuMs: tokens * ms * pace * wobble() * 0.98,
        promptTokens: 180 + ((index * 37) % 400),
        firstTokenMs: (210 + index * 7) * (drafts ? 1.04 : 1) * wobble(),
        draftTokens: drafts ? Math.round(steps * acceptedByPosition.length) : 0,
        acceptedTokens: drafts ? Math.round(steps * accepted) : 0,
      });
      const [none, profile] = [measure(msPerToken, false), measure(msPerToken / speedup, true)];
      return {
        promptId: id,
        pass,
        order: (pass + index) % 2 === 0 ? ["none", "profile"] : ["profile", "none"],
        results: { none, profile },
        waitShare: 0.01 + noise * next(),
        at: new Date(Date.UTC(2026, 10, 29, 7, 43, pass * prompts.length + index)).toISOString(),
      };
    }),
  );
}

function promptsOf(kinds: readonly Kind[]) {
  return kinds.flatMap(({ name, excerpts, speedup }, kind) =>
    excerpts.map((excerpt, index) => ({
      id: `9e3779b97f4a${(kind * 4096 + index).toString(16).padStart(4, "0")}`,
      kind: name,
      excerpt,
      speedup,
    })),
  );
}

/** Geometric mean of the ratios of time, and roughly its interval: good enough for something to look at. */
function roughEstimate(rounds: readonly Round[]): Estimate {
  const byPrompt = new Map<string, number[]>();
  for (const { promptId, results } of rounds) {
    const { none, profile } = results as Record<string, Measurement>;
    if (none === undefined || profile === undefined) continue;
    const log = Math.log(none.generateMs / none.tokens) - Math.log(profile.generateMs / profile.tokens);
    byPrompt.set(promptId, [...(byPrompt.get(promptId) ?? []), log]);
  }
  const logs = [...byPrompt.values()].map((all) => all.reduce((sum, log) => sum + log, 0) / all.length);
  const mean = logs.reduce((sum, log) => sum + log, 0) / logs.length;
  const variance = logs.reduce((sum, log) => sum + (log - mean) ** 2, 0) / Math.max(1, logs.length - 1);
  const half = 2 * Math.sqrt(variance / logs.length);
  return { ratio: Math.exp(mean), low: Math.exp(mean - half), high: Math.exp(mean + half), prompts: logs.length };
}

const shipped = {
  code: [
    "Write a function in TypeScript that parses an ISO 8601 duration such as P1DT2H and returns milliseconds.",
    "Add unit tests to this Rust module; cover empty input, a single element and overflow.",
    "Translate this Python script into Go and keep its command line as it is:",
  ],
  rewrite: [
    "Rewrite this paragraph in plain English. Keep every fact, and no sentence above twenty words:",
    "Correct spelling and grammar of this letter and change nothing else:",
    "Turn this table of measurements into JSON, with units in the names of the keys:",
  ],
  prose: [
    "Tell the story of a lighthouse keeper who finds a letter addressed to the previous keeper.",
    "Describe a market in a mountain town at dawn, in the voice of somebody who is leaving it.",
    "Write the opening of a novel in which nobody notices that the clocks have stopped.",
  ],
  questions: [
    "Why is the sky blue, and why is it red at sunset? Explain it to a pupil of fourteen.",
    "What are the differences between TCP and QUIC that matter for a mobile application?",
    "How does vaccination work? Name three misunderstandings and correct them.",
  ],
};

const target = {
  path: "/srv/models/GLM-4.7-UD-Q2_K_XL-00001-of-00003.gguf",
  sizeBytes: 49_834_122_240,
  sha256: "6f1ed002ab5595859014ebf0951522d9a1f1d5d6f0c3f7b0a5b1f1d2c3e4f506",
};
const draftModel = { path: "/srv/models/GLM-4.5-Air-UD-Q2_K_XL.gguf", sizeBytes: 1_284_505_600, sha256: null };

function words(...texts: readonly string[]): string[] {
  return texts.join(" ").split(" ");
}

export const noneSetting: ReportedSetting = {
  label: "none",
  draft: null,
  command: {
    file: "/home/kim/.local/share/llmctl/builds/v0.5.0/bin/llama-server",
    args: words(
      `--model ${target.path} --host 127.0.0.1 --port 41873 --ctx-size 16384 --n-gpu-layers 99 --override-tensor`,
      String.raw`blk\.\d+\.ffn_.*_exps\.=CPU --flash-attn on --parallel 1 --alias glm47 --jinja --metrics --no-webui`,
    ),
  },
  files: [target],
  loadMs: 48_210,
};

export const profileSetting: ReportedSetting = {
  label: "profile",
  draft: { type: "draft-simple", model: draftModel.path, n_max: 4, n_min: 0, p_min: 0.5 },
  command: {
    file: noneSetting.command.file,
    args: [
      ...noneSetting.command.args,
      ...words(`--spec-type draft-simple --model-draft ${draftModel.path} --spec-draft-n-max 4 --spec-draft-p-min 0.5`),
    ],
  },
  files: [target, draftModel],
  loadMs: 53_900,
};

const machine: BenchReport["machine"] = {
  processor: "AMD Ryzen 9 7950X 16-Core Processor",
  processors: 32,
  memoryBytes: 134_986_551_296,
  devices: ["CUDA0: NVIDIA GeForce RTX 4090, 24 GB"],
  system: "Linux 6.12.48 x64",
};

/** A whole report of a situation; the keys that matter to a test are given. */
export function makeReport(situation: Situation, keys: Partial<BenchReport> = {}): BenchReport {
  const rounds = keys.rounds ?? makeRounds(situation);
  const prompts = promptsOf(situation.kinds);
  const estimate = roughEstimate(rounds);
  const kindOf = new Map(prompts.map(({ id, kind }) => [id, kind]));
  const byKind = Object.fromEntries(
    situation.kinds.map(({ name }) => [
      name,
      roughEstimate(rounds.filter(({ promptId }) => kindOf.get(promptId) === name)),
    ]),
  );
  return {
    version: 1,
    llmctl: "0.1.0",
    profile: "glm47-spec",
    startedAt: "2026-11-29T07:43:12.345Z",
    seconds: 581,
    end: "precise",
    machine,
    build: "v0.5.0-cuda-41ad7826",
    timing: "wall",
    concurrency: 1,
    settings: [noneSetting, profileSetting],
    prompts: prompts.map(({ id, kind, excerpt }) => ({ id, kind, excerpt })),
    rounds,
    verdict: verdictOf(estimate),
    byKind,
    firstToken: { ratio: 1.04, low: 1.01, high: 1.08, prompts: prompts.length },
    draftBytes: 1_288_490_188,
    acceptedByPosition: situation.acceptedByPosition,
    costs: {
      target: [26.1, 26.9, 27.8, 28.9, 30.2, 31.8, 33.4, 35.3, 37.4],
      draft: [9.5, 9.9, 10.4, 11.0, 11.6, 12.2, 12.9, 13.6, 14.4],
    },
    predicted: predict(situation.acceptedByPosition),
    waitShare: 0.012,
    sentence: `pays ${formatEstimate(estimate)}, TTFT +4 %, the draft takes 1.2 GiB`,
    notes: [],
    ...keys,
  };
}

function verdictOf(estimate: Estimate): Verdict {
  if (estimate.low > 1) return { kind: "pays", estimate };
  if (estimate.high < 1) return { kind: "loses", estimate };
  return { kind: "unknown", estimate, moreMs: 2_400_000, morePrompts: undefined };
}

function predict(accepted: readonly number[]): { readonly nMax: number; readonly ratio: number }[] {
  const tail = Array.from(
    { length: 16 },
    (_, index) => accepted[index] ?? (accepted.at(-1) ?? 0) * 0.86 ** (index - 3),
  );
  return tail.map((_, index) => {
    const n = index + 1;
    const tokens = 1 + tail.slice(0, n).reduce((sum, share) => sum + share, 0);
    return { nMax: n, ratio: (26.1 * tokens) / (n * 9.5 + 26.1 + n * 1.3 + 9.5 + n * 0.6) };
  });
}

const everyKind = (speedups: readonly number[]): Kind[] =>
  Object.entries(shipped).map(([name, excerpts], index) => ({ name, excerpts, speedup: speedups[index] ?? 1 }));

/** Pays on code, loses on prose. */
export function payingReport(): BenchReport {
  return makeReport({
    kinds: everyKind([1.52, 1.41, 0.91, 1.12]),
    passes: 4,
    msPerToken: 26.1,
    noise: 0.05,
    acceptedByPosition: [0.86, 0.74, 0.63, 0.54],
    seed: 1,
  });
}

/** Loses on everything. */
export function losingReport(): BenchReport {
  const situation = {
    kinds: everyKind([0.82, 0.86, 0.71, 0.77]),
    passes: 3,
    msPerToken: 36.6,
    noise: 0.03,
    acceptedByPosition: [0.48, 0.26, 0.13, 0.06],
    seed: 2,
  };
  return makeReport(situation, {
    timing: "cpu",
    sentence: "loses: 0.79 × (0.75 to 0.83) with this draft; it is faster without",
    machine: { ...machine, devices: [], processor: "Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz", processors: 8 },
    costs: {
      target: [36.6, 40.3, 44.3, 49.2, 54.9, 60.1, 65.0, 69.4, 73.6],
      draft: [20.5, 29.3, 40.2, 53.0, 66.2, 78.9, 90.5, 102.2, 113.2],
    },
    predicted: [0.88, 0.83, 0.76, 0.7, 0.66, 0.62, 0.58, 0.55].map((ratio, index) => ({ nMax: index + 1, ratio })),
    end: "precise",
  });
}

/** Shows nothing: a busy machine, 40 prompts of others with long and hostile text. */
export function unclearReport(): BenchReport {
  const long =
    "You are given the minutes of a meeting of the board of a housing cooperative. List every decision with the " +
    "names of those who were against it, and quote the sentence in which it was made";
  const excerpts = Array.from({ length: 40 }, (_, index) => {
    const hostile = hostileMarkup[index % 8];
    return hostile === undefined ? `${long} (part ${index + 1} of 40)` : `${hostile} ${index}`;
  });
  const kinds: Kind[] = [
    { name: "own", excerpts: excerpts.slice(0, 28), speedup: 1.01 },
    { name: '<b>"minutes"</b>', excerpts: excerpts.slice(28), speedup: 0.94 },
  ];
  const report = makeReport({
    kinds,
    passes: 2,
    msPerToken: 61,
    noise: 0.34,
    acceptedByPosition: [0.71, 0.52, 0.38, 0.29, 0.2, 0.16, 0.12, 0.09],
    seed: 3,
  });
  const [none, profile] = report.settings;
  const name = `/srv/${hostileName}/<script>model</script>.gguf`;
  const evil: ReportedSetting = {
    ...profile,
    draft: { ...profile.draft, n_max: 8 },
    command: { ...profile.command, args: [...profile.command.args, "--alias", `it's "$(id)" <b> \u202e`] },
    files: [...profile.files, { path: name, sizeBytes: 12_345_678, sha256: null }],
  };
  return {
    ...report,
    settings: [none, evil],
    end: "time-over",
    seconds: 600,
    predicted: [0.99, 1.04, 1.07, 1.08, 1.08, 1.07, 1.05, 1.03].map((ratio, index) => ({ nMax: index + 1, ratio })),
    firstToken: { ratio: 0.96, low: 0.88, high: 1.05, prompts: 40 },
    waitShare: 0.42,
    rounds: report.rounds.map((round, index) =>
      index % 13 === 5
        ? { ...round, results: { ...round.results, profile: { error: "HTTP 500: <h1>Internal error</h1>" } } }
        : round,
    ),
    sentence: "no difference can be shown: ± 9 % after 10 min; another 40 min would probably do",
    notes: [
      `7 requests failed: HTTP 500 from ${name}.`,
      "Prompts 3 and 17 are longer than the context and were left out.",
    ],
  };
}
