import type { ReportedSetting } from "../../src/bench/bench-report.ts";
import type { GridSetting, TuneFinalist, TuneReport } from "../../src/bench/tune-report.ts";
import { noneSetting, payingReport, profileSetting } from "./bench-reports.ts";

/** A search that found something: a draft model, a layer of the model itself, and n-grams that cannot win. */
export function fruitfulTune(): TuneReport {
  const bench = payingReport();
  const { llmctl, profile, startedAt, machine, build, timing, concurrency, prompts, rounds, costs } = bench;
  const winner = finalist("draft-mtp n_max 2 p_min 0.5", 1.34, 0.04);
  const finalists = [
    winner,
    { ...finalist("draft-mtp n_max 3 p_min 0.75", 1.31, 0.05), dropped: "not faster, and it drafts more tokens" },
    {
      ...finalist("draft-simple n_max 5 p_min 0.5", 1.15, 0.06),
      candidate: "draft-simple",
      dropped: "slower than draft-mtp n_max 2 p_min 0.5 with 95 % confidence",
    },
  ];
  return {
    version: 1,
    llmctl,
    profile,
    startedAt,
    machine,
    build,
    timing,
    concurrency,
    prompts,
    rounds: rounds.map(({ results: { none, profile: own }, ...round }) => ({
      ...round,
      order: ["none", winner.setting.label],
      results: Object.fromEntries([
        ["none", none],
        [winner.setting.label, own],
      ]) as (typeof rounds)[number]["results"],
    })),
    seconds: 1266,
    end: "precise",
    loads: 6,
    stages: [
      { name: "gate", seconds: 0.4, loads: 0, found: "draft-simple, draft-mtp and four n-gram types are possible" },
      { name: "baseline", seconds: 208, loads: 1, found: "37.8 tokens/s; 9 tokens at once cost 1.43 × as much as one" },
      { name: "trace", seconds: 310, loads: 2, found: "draft-simple: 69 % accepted; draft-mtp: 81 % accepted" },
      { name: "predict", seconds: 0.2, loads: 0, found: "192 settings, 57 of them faster than without drafting" },
      { name: "measure", seconds: 747, loads: 3, found: "draft-mtp n_max 2 p_min 0.5 is the fastest" },
    ],
    candidates: [
      {
        label: "draft-simple",
        thrownOut: null,
        bestPossible: 1.9,
        costs,
        acceptedByPosition: [0.86, 0.74, 0.63, 0.54],
      },
      {
        label: "draft-mtp",
        thrownOut: null,
        bestPossible: 1.82,
        costs: { target: costs?.target ?? [], draft: null },
        acceptedByPosition: [0.91, 0.72, 0.49],
      },
      {
        label: "ngram-mod",
        thrownOut: "even at 95 % acceptance it could reach 0.97 ×",
        bestPossible: 0.97,
        costs: null,
        acceptedByPosition: null,
      },
      {
        label: "draft-eagle3",
        thrownOut: 'the build "v0.5.0" has the type, but no EAGLE-3 model belongs to the target',
        bestPossible: null,
        costs: null,
        acceptedByPosition: null,
      },
    ],
    predicted: [...grid("draft-simple", 16, 9.5, 0.74), ...grid("draft-mtp", 8, 8.4, 0.8)],
    baseline: noneSetting,
    finalists,
    winner: winner.setting.label,
    draftBefore: { type: "draft-simple", n_max: 16 },
    waitShare: 0.013,
    sentence: "draft-mtp with n_max 2 and p_min 0.5 is the fastest: 1.34 × (1.29 to 1.39)",
    notes: ["Three layers of the model are in memory and not on CUDA0."],
  };
}

/** The same with the grid that a search really computes: twenty p_min, two n_min. */
export function wholeGridTune(): TuneReport {
  const report = fruitfulTune();
  const pMins = Array.from({ length: 20 }, (_, index) => index / 20);
  const predicted = [0, 2].flatMap((nMin) =>
    grid("draft-simple", 16, 9.5, 0.74, pMins)
      .filter(({ nMax }) => nMax >= nMin)
      .map((one) => ({
        ...one,
        nMin,
        ratio: one.ratio * (1 - nMin / 100),
        label: nMin === 0 ? one.label : `${one.label} n_min 2`,
      })),
  );
  return {
    ...report,
    predicted: [...predicted, ...report.predicted.filter(({ candidate }) => candidate === "draft-mtp")],
  };
}

/** A search that ended without a candidate. */
export function fruitlessTune(): TuneReport {
  return {
    ...fruitfulTune(),
    end: "no-candidate",
    finalists: [],
    predicted: [],
    rounds: [],
    winner: "none",
    sentence: "drafting does not pay here: no type could reach 1.02 ×",
    candidates: fruitfulTune().candidates.map((candidate) => ({
      ...candidate,
      thrownOut: candidate.thrownOut ?? "even at 95 % acceptance it could reach 0.97 ×",
      bestPossible: 0.97,
    })),
    draftBefore: null,
    loads: 1,
    stages: fruitfulTune().stages.slice(0, 2),
    waitShare: null,
  };
}

function finalist(label: string, ratio: number, half: number): TuneFinalist {
  const [, nMax, pMin] = /n_max (\d+) p_min ([\d.]+)/.exec(label) ?? [];
  const draft = { type: label.split(" ")[0], n_max: Number(nMax), p_min: Number(pMin) };
  const args = [
    "--spec-type",
    String(draft.type),
    "--spec-draft-n-max",
    String(nMax),
    "--spec-draft-p-min",
    String(pMin),
  ];
  const setting: ReportedSetting = {
    ...profileSetting,
    label,
    draft,
    command: { ...noneSetting.command, args: [...noneSetting.command.args, ...args] },
  };
  const estimate = { ratio, low: ratio * (1 - half), high: ratio * (1 + half), prompts: 12 };
  return {
    setting,
    candidate: "draft-mtp",
    predicted: ratio * 1.03,
    estimate,
    firstToken: { ratio: 1.02, low: 1, high: 1.04, prompts: 12 },
    acceptedByPosition: [0.91, 0.72],
    draftBytes: 702_545_920,
    dropped: null,
  };
}

function grid(
  candidate: string,
  longest: number,
  draftMs: number,
  accepted: number,
  pMins: readonly number[] = [0, 0.25, 0.5, 0.75, 0.9],
): GridSetting[] {
  return pMins.flatMap((pMin) =>
    Array.from({ length: longest }, (_, index): GridSetting => {
      const nMax = index + 1;
      const share = accepted + (0.97 - accepted) * pMin * 0.6;
      // A draft ends early at an improbable token.
      const length = 1 + (nMax - 1) * (1 - pMin * 0.6);
      const tokens = (1 - share ** (length + 1)) / (1 - share);
      const ratio = (26.1 * tokens) / (length * (draftMs + 1.3) + 26.1 + draftMs);
      return { label: `${candidate} n_max ${nMax} p_min ${pMin}`, candidate, nMax, nMin: 0, pMin, ratio };
    }),
  );
}
