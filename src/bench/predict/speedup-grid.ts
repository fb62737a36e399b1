import { CycleAdder, type CycleSums, type DraftingCosts, predictSpeedup } from "./drafting-cost.ts";
import type { DraftReplay, DraftSetting } from "./replay.ts";

/** A setting with what a replay says about it. */
export interface GridPrediction {
  readonly setting: DraftSetting;
  /** Predicted speed over that without drafting. */
  readonly ratio: number;
  readonly sums: CycleSums;
}

/** Settings to consider: values of each key. */
export interface Grid {
  readonly nMax: readonly number[];
  readonly nMin: readonly number[];
  readonly pMin: readonly number[];
}

/**
 * An n_min of 1 is left out: no draft is shorter than that and not empty. Steps of p_min are written so that each is
 * the nearest number to its two digits, as the log's probabilities are.
 */
export const wholeGrid: Grid = {
  nMax: Array.from({ length: 16 }, (_, index) => index + 1),
  nMin: [0, 2],
  pMin: Array.from({ length: 20 }, (_, index) => index / 20),
};

/** The predictions for a whole grid. @param mostDraft The n_max of the trace: beyond it nothing is known. */
export function predictGrid(
  replay: DraftReplay,
  costs: DraftingCosts,
  {
    grid = wholeGrid,
    mostDraft = Number.POSITIVE_INFINITY,
  }: { readonly grid?: Grid; readonly mostDraft?: number } = {},
): GridPrediction[] {
  const predictions: GridPrediction[] = [];
  // p_min outside: a replay prepares it once for all others.
  for (const pMin of grid.pMin)
    for (const nMax of grid.nMax)
      for (const nMin of grid.nMin) {
        if (nMax > mostDraft || nMin > nMax) continue;
        const setting = { nMax, nMin, pMin };
        const adder = new CycleAdder();
        replay.walk(setting, adder.add);
        const { sums } = adder;
        const ratio = predictSpeedup(sums, costs);
        if (ratio !== undefined) predictions.push({ setting, ratio, sums });
      }
  return predictions;
}

/** A prediction that is off by this much still leaves the best setting among the finalists. */
const margin = 0.1;
/** What is predicted to be slower than this is not measured: predictions are off by some per cent. */
const leastGain = 0.95;
/** Two ratios that differ by less are the same. */
const tie = 0.001;

/**
 * The settings that are worth a measurement, the best first. Each has another n_max, and not the next one: a prediction
 * does not tell neighbours apart, and a measurement of both would teach nothing.
 */
export function pickFinalists(predictions: readonly GridPrediction[], most = 3): GridPrediction[] {
  const best = predictions.reduce((highest, { ratio }) => Math.max(highest, ratio), 0);
  const finalists: GridPrediction[] = [];
  let left = predictions.filter(({ ratio }) => ratio > leastGain && ratio >= best * (1 - margin));
  while (left.length > 0 && finalists.length < most) {
    const next = left.reduce((leader, one) => (isBetter(one, leader) ? one : leader));
    finalists.push(next);
    left = left.filter(({ setting }) => isApart(setting.nMax, next.setting.nMax));
  }
  return finalists;
}

/** So much longer a draft is another one. */
const stepOfLength = 1.4;

function isApart(a: number, b: number): boolean {
  return Math.max(a, b) >= stepOfLength * Math.min(a, b);
}

/** Among equals the cheaper one: fewer drafted tokens, then the simpler setting. */
function isBetter(one: GridPrediction, other: GridPrediction): boolean {
  if (Math.abs(one.ratio - other.ratio) > tie) return one.ratio > other.ratio;
  return costOrder(one, other) < 0;
}

function costOrder(one: GridPrediction, other: GridPrediction): number {
  const [a, b] = [one.setting, other.setting];
  return one.sums.drafted - other.sums.drafted || a.nMax - b.nMax || a.nMin - b.nMin || a.pMin - b.pMin;
}
