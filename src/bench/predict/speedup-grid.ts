import { CycleAdder, type CycleSums, type DraftingCosts, predictSpeedup } from "./drafting-cost.ts";
import type { DraftReplay, DraftSetting } from "./replay.ts";

/** A setting with what a replay says about it. */
export interface PredictedSetting {
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
 * An n_min of 1 is left out: no draft is shorter than that and not empty. Steps of p_min are written so that each is the
 * nearest number to its two digits, as the log's probabilities are.
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
): PredictedSetting[] {
  const predictions: PredictedSetting[] = [];
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
/** What gains less is not worth a measurement, which shows some per cent at best. */
const leastGain = 1.02;
/** Two ratios that differ by less are the same. */
const tie = 0.001;

/**
 * The settings that are worth a measurement, the best first: of each n_max the best one, so that they differ by more than a
 * hair's breadth of p_min.
 */
export function pickFinalists(predictions: readonly PredictedSetting[], most = 3): PredictedSetting[] {
  const best = predictions.reduce((highest, { ratio }) => Math.max(highest, ratio), 0);
  const good = predictions.filter(({ ratio }) => ratio > leastGain && ratio >= best * (1 - margin));
  const ofEachLength = new Map<number, PredictedSetting>();
  for (const prediction of good) {
    const { nMax } = prediction.setting;
    const other = ofEachLength.get(nMax);
    if (other === undefined || isBetter(prediction, other)) ofEachLength.set(nMax, prediction);
  }
  const left = [...ofEachLength.values()];
  const finalists: PredictedSetting[] = [];
  while (left.length > 0 && finalists.length < most) {
    const next = left.reduce((leader, one) => (isBetter(one, leader) ? one : leader));
    finalists.push(next);
    left.splice(left.indexOf(next), 1);
  }
  return finalists;
}

/** Among equals the cheaper one: fewer drafted tokens, then the simpler setting. */
function isBetter(one: PredictedSetting, other: PredictedSetting): boolean {
  if (Math.abs(one.ratio - other.ratio) > tie) return one.ratio > other.ratio;
  return costOrder(one, other) < 0;
}

function costOrder(one: PredictedSetting, other: PredictedSetting): number {
  const [a, b] = [one.setting, other.setting];
  return one.sums.drafted - other.sums.drafted || a.nMax - b.nMax || a.nMin - b.nMin || a.pMin - b.pMin;
}
