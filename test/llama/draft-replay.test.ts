import { describe, expect, inject, test } from "vitest";
import { addCycles } from "../../src/bench/predict/drafting-cost.ts";
import { type AnsweredPrompt, type NgramSetting, replayNgram } from "../../src/bench/predict/ngram-replay.ts";
import { DraftReplay, type DraftSetting, type ReplayedCycle } from "../../src/bench/predict/replay.ts";
import { parseDraftCounters } from "../../src/llama/server/draft-counters.ts";
import { type DraftTrace, DraftTraceParser, type TracedCycle } from "../../src/llama/server/draft-trace.ts";
import { startBareServer, withDraft } from "../support/bare-server.ts";
import type { Timings } from "../support/real-server.ts";
import { demoDraft } from "../support/temp-home.ts";

const animals = ["otter", "fox", "badger", "hedgehog", "crow", "mouse"];

/** Greedy, of fixed length, and without what the server remembers of other prompts. */
const fixed = { temperature: 0, ignore_eos: true, cache_prompt: false };

interface Run {
  readonly trace: DraftTrace;
  readonly answers: readonly { readonly text: string; readonly timings: Timings }[];
}

/** Stories of a server with this setting, and what it logged meanwhile. */
async function tellStories({ nMax, nMin, pMin }: DraftSetting): Promise<Run> {
  const parser = new DraftTraceParser();
  const limits = ["--spec-draft-n-max", `${nMax}`, "--spec-draft-n-min", `${nMin}`, "--spec-draft-p-min", `${pMin}`];
  const answers: Run["answers"][number][] = [];
  {
    const args = [...withDraft, "-lv", "5", ...limits];
    await using server = await startBareServer(inject("llama").server, args, (line) => parser.push(line));
    for (const animal of animals) {
      const messages = [{ role: "user", content: `Tell me a story about a ${animal}.` }];
      const answer = await server.ask("/v1/chat/completions", { messages, max_tokens: 128, ...fixed });
      const { choices, timings } = answer as { choices: [{ message: { content: string } }]; timings: Timings };
      answers.push({ text: choices[0].message.content, timings });
    }
  }
  return { trace: parser.read() ?? expect.fail("the build logs no drafts"), answers };
}

/** Steps as the server has counted them. */
function countSteps({ timings }: Run["answers"][number]) {
  const { predicted_n: tokens, draft_n: drafted = 0, draft_n_accepted: accepted = 0 } = timings;
  return { steps: tokens - 1 - accepted, drafted, accepted };
}

function sumSteps(cycles: readonly ReplayedCycle[]) {
  const { steps, drafted, accepted } = addCycles(cycles);
  return { steps, drafted, accepted };
}

/** The steps of a trace as a replay writes them. */
function stepsOf({ answers }: DraftTrace): ReplayedCycle[][] {
  return answers.map(({ cycles }) =>
    cycles.map(({ drafted, accepted, candidates, tokens }) => ({
      drafted,
      accepted,
      evaluations: candidates.length,
      tokens: tokens.length,
      unknown: 0,
    })),
  );
}

describe("the replay of one traced run", () => {
  const settings: readonly DraftSetting[] = [
    { nMax: 1, nMin: 0, pMin: 0 },
    { nMax: 4, nMin: 0, pMin: 0 },
    { nMax: 4, nMin: 0, pMin: 0.75 },
    { nMax: 8, nMin: 2, pMin: 0.5 },
    { nMax: 12, nMin: 0, pMin: 0.3 },
    { nMax: 16, nMin: 0, pMin: 0.75 },
  ];

  test("has the steps of real runs: exactly as far as it knows all, and within 3 % in sum", async () => {
    const traced = await tellStories({ nMax: 16, nMin: 0, pMin: 0 });
    expect(traced.trace).toMatchObject({ type: "draft-simple", leftOut: 0, restoresCheckpoints: false });
    const replay = new DraftReplay(traced.trace);
    const its = replay.replay({ nMax: 16, nMin: 0, pMin: 0 });
    expect(its).toEqual(stepsOf(traced.trace));
    expect(its.map(sumSteps)).toEqual(traced.answers.map(countSteps));

    for (const setting of settings) {
      const real = await tellStories(setting);
      expect(real.answers.map(({ text }) => text)).toEqual(traced.answers.map(({ text }) => text));
      const replayed = replay.replay(setting);
      const steps = stepsOf(real.trace);
      expect(steps.map(sumSteps)).toEqual(real.answers.map(countSteps));
      for (const [index, cycles] of replayed.entries()) {
        const unknown = cycles.findIndex((cycle) => cycle.unknown > 0);
        const known = unknown < 0 ? cycles.length : unknown;
        expect(known).toBeGreaterThan(0);
        expect(cycles.slice(0, known)).toEqual(steps[index]?.slice(0, known));
      }
      const [predicted, truth] = [addCycles(replayed.flat()), addCycles(steps.flat())];
      for (const key of ["steps", "drafted", "accepted", "evaluations"] as const)
        expect(Math.abs(predicted[key] / truth[key] - 1)).toBeLessThan(0.03);
    }
  });
});

test("a build of before April 2026 leaves no trace, though it drafts", async () => {
  const parser = new DraftTraceParser();
  const old = inject("llamaBuilds").find(({ ref }) => ref === "b7698") ?? expect.fail("no old build");
  {
    const args = ["-md", demoDraft, "-lv", "5"];
    await using server = await startBareServer(old.server, args, (line) => parser.push(line));
    const answer = await server.ask("/completion", { prompt: "Once upon a time", n_predict: 30, ...fixed });
    expect((answer as { timings: Timings }).timings.draft_n).toBeGreaterThan(0);
  }
  expect(parser.read()).toBeUndefined();
});

describe("with --spec-synth-rates", () => {
  /** Of the demo models; a drafted one is never accepted then. @see server_sample_and_accept_synth */
  const endTokens = [0, 2];

  /** The trace of some answers, and what the counters say about them. */
  async function run(rates: readonly number[]) {
    const parser = new DraftTraceParser();
    const limits = [
      "--metrics",
      "-lv",
      "5",
      "--spec-draft-n-max",
      `${rates.length}`,
      "--spec-synth-rates",
      rates.join(),
    ];
    const args = [...withDraft, ...limits];
    let positions: readonly number[];
    {
      await using server = await startBareServer(inject("llama").server, args, (line) => parser.push(line));
      for (let seed = 1; seed <= 4; seed += 1)
        await server.ask("/completion", { prompt: "Once upon a time", n_predict: 400, seed, ...fixed });
      const counters = parseDraftCounters(await server.read("/metrics")) ?? expect.fail("no counters");
      positions = counters.acceptedByPosition.map((count) => count / counters.drafts);
    }
    const trace = parser.read() ?? expect.fail("the build logs no drafts");
    const cycles = trace.answers.flatMap((answer) => answer.cycles).filter(({ drafted }) => drafted > 0);
    return { positions, cycles, trace };
  }

  /** The right number of candidates, for drafts whose first `i + 1` tokens are accepted at these rates. */
  function expectedAccepted(rates: readonly number[], { candidates, drafted }: TracedCycle): number {
    const end = candidates.findIndex(({ token }) => endTokens.includes(token));
    const possible = Math.min(drafted, end < 0 ? drafted : end);
    return rates.slice(0, possible).reduce((sum, rate) => sum + rate, 0);
  }

  test("every step is the one that the rates demand, where chance has no part", async () => {
    const rates = [1, 1, 0, 0];
    const { cycles, positions } = await run(rates);
    expect(cycles.length).toBeGreaterThan(400);
    for (const cycle of cycles) expect(cycle.accepted).toBe(expectedAccepted(rates, cycle));
    expect(positions.slice(2)).toEqual([0, 0]);
  });

  test("a step accepts as many tokens as the rates demand, by the trace and by the counters", async () => {
    const rates = [0.9, 0.7, 0.5, 0.4];
    const { cycles, positions, trace } = await run(rates);
    const accepted = cycles.reduce((sum, cycle) => sum + cycle.accepted, 0);
    expect(positions.reduce((sum, share) => sum + share, 0)).toBeCloseTo(accepted / cycles.length, 9);
    const expected = cycles.reduce((sum, cycle) => sum + expectedAccepted(rates, cycle), 0);
    // A step's number has a standard deviation below 1.6; four times that of the mean.
    expect(Math.abs(accepted - expected) / cycles.length).toBeLessThan((4 * 1.6) / Math.sqrt(cycles.length));
    const replayed = new DraftReplay(trace).replay({ nMax: rates.length, nMin: 0, pMin: 0 }).flat();
    expect(replayed.reduce((sum, cycle) => sum + cycle.accepted, 0)).toBe(accepted);
  });
});

describe("n-gram types", () => {
  const simple = { type: "ngram-simple", sizeN: 3, sizeM: 8 } as const;
  const mod = { type: "ngram-mod", match: 4, nMin: 2, nMax: 12 } as const;

  test.each<[NgramSetting, readonly string[]]>([
    [simple, ["--spec-ngram-simple-size-n", "3", "--spec-ngram-simple-size-m", "8"]],
    [mod, ["--spec-ngram-mod-n-match", "4", "--spec-ngram-mod-n-min", "2", "--spec-ngram-mod-n-max", "12"]],
  ])("%o drafts in a real server what was computed from the texts", async (setting, flags) => {
    await using server = await startBareServer(inject("llama").server, ["--spec-type", setting.type, ...flags]);
    const texts: AnsweredPrompt[] = [];
    const real: ReturnType<typeof countSteps>[] = [];
    for (const animal of animals) {
      const story = "Once upon a time there was an otter called Jon who lived near the farm. ";
      const question = `<|im_start|>user\nTell me a story about a ${animal}.<|im_end|>\n`;
      const content = `${story}${story}${question}<|im_start|>assistant\n`;
      const asked = await server.ask("/tokenize", { content, parse_special: true });
      const { tokens: prompt } = asked as { tokens: number[] };
      const request = { prompt, n_predict: 200, return_tokens: true, ...fixed };
      const answer = (await server.ask("/completion", request)) as { tokens: number[]; timings: Timings };
      texts.push({ prompt, answer: answer.tokens, room: 200 });
      real.push(countSteps({ text: "", timings: answer.timings }));
    }
    expect(real.some(({ accepted }) => accepted > 0)).toBe(true);
    expect(replayNgram(texts, setting).map(sumSteps)).toEqual(real);
  });
});
