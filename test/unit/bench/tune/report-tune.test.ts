import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { BenchContest } from "../../../../src/bench/servers/bench-contest.ts";
import { planSetting } from "../../../../src/bench/servers/plan-setting.ts";
import type { Candidate } from "../../../../src/bench/tune/candidate.ts";
import { makeFinalist } from "../../../../src/bench/tune/finalist.ts";
import { reportTune } from "../../../../src/bench/tune/report-tune.ts";
import { nothingFound, type Search, type TuneFindings, type TuneOptions } from "../../../../src/bench/tune/search.ts";
import { TuneProgress } from "../../../../src/bench/tune/tune-progress.ts";
import { readKeptCosts } from "../../../../src/llama/draft/kept-costs.ts";
import type { DraftKeys } from "../../../../src/profiles/tuned-draft.ts";
import { FakeKeeper, makeMeasurement, makePrompts } from "../../../support/fake-contest.ts";
import { FakeSession } from "../../../support/fake-session.ts";
import { makeProfile } from "../../../support/llama-help.ts";

let session: FakeSession;
let search: Search;
let found: TuneFindings;
let candidate: Candidate;

const clock = { nowMs: () => 0, sleep: async () => undefined, setTimer: () => () => undefined };

beforeEach(async () => {
  session = new FakeSession({ PATH: "/bin", HOME: "/root" });
  const model = session.writeModel("draft.gguf");
  const profile = makeProfile({ model: session.writeModel("target.gguf"), draft: { model, n_max: 9 } });
  const none = await planSetting(profile, undefined, { label: "none", session });
  const loadMs = new Map([["none", 120]]);
  const running = { readAccepted: async () => [0.9, 0.5] };
  search = {
    options: { profile, session, timing: "wall", concurrency: undefined } as Partial<TuneOptions> as TuneOptions,
    none,
    contest: { loads: 4, loadMs, find: () => running } as unknown as BenchContest,
    progress: new TuneProgress({ clock, readLoads: () => 4, onEvent: () => undefined }),
    answers: new Map(),
    clock,
  };
  const { n_max: _, ...draft } = profile.values.draft as NonNullable<DraftKeys & Candidate["draft"]>;
  candidate = { label: "draft-simple", source: "model", draft, bestPossible: 1.9, costShare: 0.1 };
  found = nothingFound();
  found.baseline = { targetMs: [10, 11], stepMs: 10, texts: [] };
});
afterEach(() => session[Symbol.dispose]());

/** Measures one setting that is faster than none by this ratio. */
async function measured(ratio: number): Promise<void> {
  const finalist = makeFinalist(candidate, { n_max: 4, p_min: 0 }, 1.3);
  const setting = await planSetting(search.options.profile, finalist.draft, { label: finalist.label, session });
  const prompts = makePrompts(8);
  found.prompts = prompts;
  found.candidates = {
    left: [candidate],
    rejected: [{ ...candidate, label: "draft-mtp", bestPossible: null, thrownOut: "the target has no such layer" }],
  };
  const cycle = (accepted: number) => ({ mostDraft: 8, candidates: [], drafted: 2, accepted, tokens: [] });
  const answers = [{ task: 1, firstToken: 0, cycles: [cycle(1), cycle(2)] }];
  found.traces.set(candidate.label, { type: "draft-simple", answers, leftOut: 0, restoresCheckpoints: false });
  found.costs.set(candidate.label, { target: [10, 11], draft: [1, 2] });
  found.finalists = [{ finalist, setting }];
  found.finals = { end: "precise", dropped: new Map(), elapsedMs: 60_000, notes: [] };
  found.keeper = new FakeKeeper(
    prompts.map(({ id }, index) => ({
      promptId: id,
      pass: 0,
      order: ["none", finalist.label],
      results: {
        none: makeMeasurement(1000 + index),
        [finalist.label]: makeMeasurement((1000 + index) / ratio),
      },
      waitShare: 0.01,
      at: "2026-11-28T12:00:00.000Z",
    })),
  );
}

const report = async () => reportTune(search, found, { startedAt: "2026-11-28T12:00:00.000Z", seconds: 90 });

describe("a search", () => {
  test("that has found a faster setting names it, with what was measured and thrown out", async () => {
    await measured(1.5);
    const { report: told, winner } = await report();
    expect(winner.finalist?.label).toBe("draft-simple n_max 4 p_min 0");
    expect(told).toMatchObject({
      winner: "draft-simple n_max 4 p_min 0",
      sentence: expect.stringMatching(/^draft-simple n_max 4 p_min 0 pays 1\.50 × /) as string,
      end: "precise",
      loads: 4,
      seconds: 90,
      waitShare: 0.01,
      baseline: { label: "none", loadMs: 120, draft: null },
      draftBefore: { n_max: 9 },
      notes: [],
    });
    expect(told.prompts).toHaveLength(8);
    expect(told.candidates.map(({ label, thrownOut }) => [label, thrownOut])).toEqual([
      ["draft-simple", null],
      ["draft-mtp", "the target has no such layer"],
    ]);
    expect(told.candidates[0]?.costs).toEqual({ target: [10, 11], draft: [1, 2] });
    expect(told.candidates[0]?.acceptedByPosition).toEqual([1, 0.5]);
    expect(told.finalists).toMatchObject([
      { predicted: 1.3, dropped: null, setting: { draft: { n_max: 4 } }, acceptedByPosition: [0.9, 0.5] },
    ]);
  });

  test("keeps the speed without a draft, and what batches cost the winner", async () => {
    await measured(1.5);
    await report();
    const { costKeys } = search.none;
    expect(await readKeptCosts(session.paths.data, costKeys?.target ?? "")).toMatchObject({
      source: "tune",
      draftKey: found.finalists[0]?.setting.costKeys?.draft,
      stepMs: [{ contextTokens: 60, ms: expect.closeTo(10.035, 2) as number }],
      targetMs: [10, 11],
      draftMs: [1, 2],
      reevaluates: true,
    });
  });

  test("does not choose what was dropped, however fast it was on the prompts that it had until then", async () => {
    await measured(1.2);
    const dropped = makeFinalist(candidate, { n_max: 2, p_min: 0 }, 1.2);
    const setting = await planSetting(search.options.profile, dropped.draft, { label: dropped.label, session });
    const [{ finalist } = { finalist: dropped }] = found.finalists;
    found.finalists = [...found.finalists, { finalist: dropped, setting }];
    const slower = `slower than ${finalist.label} with 95 % confidence`;
    found.finals = { end: "precise", dropped: new Map([[dropped.label, slower]]), elapsedMs: 60_000, notes: [] };
    // The first prompts are code, where any draft helps: there the best one had 1.8 ×.
    const [first, others] = [found.keeper?.rounds.slice(0, 4) ?? [], found.keeper?.rounds.slice(4) ?? []];
    const ofCode = first.map((round) => ({
      ...round,
      order: [...round.order, dropped.label],
      results: {
        ...round.results,
        [finalist.label]: makeMeasurement(1000 / 1.8),
        [dropped.label]: makeMeasurement(1000 / 1.7),
      },
    }));
    found.keeper = new FakeKeeper([...ofCode, ...others]);
    const { report: told, winner } = await report();
    expect(winner.finalist?.label).toBe(finalist.label);
    expect(told.winner).toBe(finalist.label);
  });

  test("whose best setting loses has the winner none, and says how much it loses", async () => {
    await measured(0.8);
    const { report: told, winner } = await report();
    expect([told.winner, winner.finalist]).toEqual(["none", undefined]);
    expect(told.sentence).toMatch(/^drafting does not pay here: the best setting loses: 0\.80 × /);
  });

  test("without a setting to measure has shown that drafting does not pay", async () => {
    const { report: told } = await report();
    expect(told).toMatchObject({
      winner: "none",
      end: "no-candidate",
      sentence: "drafting does not pay here: no setting can be expected to",
      finalists: [],
    });
  });

  test("of which a candidate could not be measured has not shown that drafting does not pay", async () => {
    found.unjudged.push("draft-simple");
    const { report: told } = await report();
    expect([told.winner, told.sentence]).toEqual([
      null,
      "nothing was shown to pay, but draft-simple could not be measured",
    ]);
    await measured(0.8);
    const { report: losing } = await report();
    expect([losing.winner, losing.sentence]).toEqual([null, told.sentence]);
    await measured(1.5);
    expect((await report()).report.winner).toBe("draft-simple n_max 4 p_min 0");
  });

  test("in which a server died has not shown that drafting does not pay", async () => {
    await measured(0.8);
    found.finals = { end: "server-died", dropped: new Map(), elapsedMs: 60_000, notes: ["out of memory"] };
    const { report: told } = await report();
    expect([told.winner, told.sentence]).toEqual([null, "nothing was shown to pay, but a server died"]);
  });

  test("that was interrupted before it measured anything has shown nothing", async () => {
    found.baseline = undefined;
    found.finals = { end: "interrupted", dropped: new Map(), elapsedMs: 0, notes: ["it was interrupted"] };
    const { report: told } = await report();
    expect(told).toMatchObject({
      winner: null,
      end: "interrupted",
      baseline: null,
      sentence: "interrupted before anything was measured",
      notes: ["it was interrupted"],
    });
  });
});
