import type { GridSetting } from "../tune-report.ts";
import type { DraftingCosts } from "../predict/drafting-cost.ts";
import { type AnsweredPrompt, type NgramSetting, predictNgram } from "../predict/ngram-replay.ts";
import { DraftReplay } from "../predict/replay.ts";
import { type GridPrediction, pickFinalists, predictGrid } from "../predict/speedup-grid.ts";
import type { TracedSetting } from "../trace/trace-setting.ts";
import type { Candidate } from "./candidate.ts";
import { type DraftNumbers, type Finalist, makeFinalist } from "./finalist.ts";

/** What the stages before the measurement say about one candidate. */
export interface CandidatePrediction {
  readonly candidate: Candidate;
  readonly predicted: readonly GridSetting[];
  /** Worth a measurement, the best first. */
  readonly finalists: readonly Finalist[];
}

/** Lengths that are measured where nothing can be predicted. */
const blindLengths = [2, 4, 8];

/** The grid of a traced drafter; without a trace, some lengths to measure. */
export function predictTraced(
  candidate: Candidate,
  { trace }: Pick<TracedSetting, "trace">,
  costs: DraftingCosts | undefined,
): CandidatePrediction {
  if (trace === undefined || costs === undefined || trace.answers.length === 0) {
    const finalists = blindLengths.map((length) => makeFinalist(candidate, { n_max: length, p_min: 0 }, null));
    return { candidate, predicted: [], finalists };
  }
  return predictSwept(candidate, predictGrid(new DraftReplay(trace), costs));
}

/** What is worth a measurement of a grid, computed or measured by requests. */
export function predictSwept(candidate: Candidate, grid: readonly GridPrediction[]): CandidatePrediction {
  const predicted = grid.map((point) => ({
    label: finalistOf(candidate, point).label,
    candidate: candidate.label,
    ...point.setting,
    ratio: point.ratio,
  }));
  return { candidate, predicted, finalists: pickFinalists(grid).map((point) => finalistOf(candidate, point)) };
}

function finalistOf(candidate: Candidate, { setting, ratio }: GridPrediction): Finalist {
  const { nMax, nMin, pMin } = setting;
  return makeFinalist(candidate, { n_max: nMax, ...(nMin === 0 ? {} : { n_min: nMin }), p_min: pMin }, ratio);
}

/**
 * What does not gain this much by computing is not worth a load: to find a draft is taken to cost nothing. A bound is
 * what a drafter that knows the text would reach; real ones reach a part of its gain.
 */
const leastNgramGain = { played: 1.05, bound: 1.15 } as const;

/** The best numbers of an n-gram type for these texts, computed. */
export function predictNgrams(
  candidate: Candidate,
  texts: readonly AnsweredPrompt[],
  target: readonly number[],
): CandidatePrediction {
  let least: number = leastNgramGain.played;
  const points = ngramSettings(candidate.draft.type).flatMap(({ setting, numbers }) => {
    const prediction = predictNgram(texts, setting, target);
    if (prediction?.isBound === true) least = leastNgramGain.bound;
    return prediction === undefined ? [] : [makeFinalist(candidate, numbers, prediction.ratio)];
  });
  const predicted = points.map(({ label, draft, predicted: ratio }) => ({
    label,
    candidate: candidate.label,
    nMax: draft.n_max ?? 0,
    nMin: draft.n_min ?? 0,
    pMin: 0,
    ratio: ratio ?? 0,
  }));
  const [best] = points.toSorted((a, b) => (b.predicted ?? 0) - (a.predicted ?? 0));
  const isWorth = best !== undefined && (best.predicted ?? 0) > least;
  return { candidate, predicted, finalists: isWorth ? [best] : [] };
}

interface NgramPoint {
  readonly setting: NgramSetting;
  readonly numbers: DraftNumbers;
}

const matchLengths = [2, 3, 4, 6, 12];
const draftLengths = [2, 4, 8, 16, 48];

/** The settings of a type that are computed; those whose lengths no key of a profile sets have the build's own. */
function ngramSettings(type: string): NgramPoint[] {
  const pairs = matchLengths.flatMap((size) => draftLengths.map((length) => ({ size, length })));
  switch (type) {
    case "ngram-simple":
    case "ngram-map-k":
    case "ngram-map-k4v":
      return pairs.map(({ size, length }) => ({
        setting: { type, sizeN: size, sizeM: length },
        numbers: { ngram_size: size, n_max: length },
      }));
    case "ngram-mod":
      return pairs.map(({ size, length }) => ({
        setting: { type, match: size, nMin: 0, nMax: length },
        numbers: { ngram_size: size, n_max: length, n_min: 0 },
      }));
    case "ngram-cache":
      return [{ setting: { type }, numbers: {} }];
    default:
      return [];
  }
}
