/** Places values on an axis. */
export interface Scale {
  /** Values for labels, in ascending order. */
  readonly ticks: readonly number[];
  /** The place of a value: 0 at the start of the axis, 1 at its end; values beyond an end are placed there. */
  readonly place: (value: number) => number;
}

/** Labels of an axis of a telephone's width do not touch each other. */
const mostTicks = 6;
/** Between labels, as a share of the axis: in a narrow column the width of four digits. */
const leastGap = 0.17;
/** Whole numbers are narrower. */
const mostWholeTicks = 9;

/** An axis on which equal distances are equal differences. */
export function linearScale(low: number, high: number): Scale {
  const [start, end] = low < high ? [low, high] : [low - 0.5, low + 0.5];
  return {
    ticks: roundTicks(start, end, stepOf(start, end)),
    place: (value) => limit((value - start) / (end - start)),
  };
}

/** An axis of whole numbers from 1 or more, of which each has its place. */
export function wholeScale(values: readonly number[]): Scale {
  const [least, most] = rangeOf(values);
  const stride = Math.ceil((most - least + 1) / mostWholeTicks);
  const ticks = Array.from({ length: Math.floor((most - least) / stride) + 1 }, (_, index) => least + index * stride);
  return { ...linearScale(least - 0.4, most + 0.4), ticks };
}

/**
 * An axis on which equal distances are equal ratios.
 * @param values Those of 0 or less are not on the axis.
 */
export function logScale(values: readonly number[]): Scale {
  if (!values.some((value) => value > 0)) return { ticks: [], place: () => 0 };
  const [least, most] = rangeOf(values);
  // Marks stay clear of both ends, and a single value stands in the middle.
  const margin = Math.max(1.02, (most / least) ** 0.04);
  const [low, high] = [least / margin, most * margin];
  const [start, length] = [Math.log(low), Math.log(high / low)];
  const place = (value: number) => limit((Math.log(value) - start) / length);
  const ticks = high / low < 6 ? roundTicks(low, high, logStepOf(low, high)) : decadeTicks(low, high);
  return { ticks: spread(ticks, place), place };
}

/** As {@link logScale}, for ratios around 1, which is always on the axis and among its labels. */
export function ratioScale(ratios: readonly number[]): Scale {
  const scale = logScale([...ratios, 0.98, 1.02]);
  const below = scale.ticks.filter((tick) => tick < 1).toReversed();
  const above = scale.ticks.filter((tick) => tick > 1);
  const [, ...left] = spread([1, ...below], scale.place);
  return { ...scale, ticks: [...left.toReversed(), ...spread([1, ...above], scale.place)] };
}

/** The labels, of which the first one stays, without those that would touch the one before. */
function spread(ticks: readonly number[], place: Scale["place"]): number[] {
  const kept: number[] = [];
  for (const tick of ticks) {
    const last = kept.at(-1);
    if (last === undefined || Math.abs(place(tick) - place(last)) >= leastGap) kept.push(tick);
  }
  return kept;
}

/** The least and the largest value; a loop, since a report may have more values than a call has arguments. */
function rangeOf(values: readonly number[]): readonly [number, number] {
  let [least, most] = [Infinity, 0];
  for (const value of values) {
    if (value > 0 && value < least) least = value;
    if (value > most) most = value;
  }
  return most > 0 ? [least, most] : [1, 1];
}

/** A step of 1, 2 or 5 times a power of ten. */
interface Step {
  readonly digit: number;
  readonly power: number;
}

/** The smallest step that gives no more labels than fit. */
function stepOf(low: number, high: number, fits: (step: Step) => boolean = () => true): Step {
  const power = Math.floor(Math.log10((high - low) / mostTicks));
  const steps = [power, power + 1].flatMap((one) => [1, 2, 5].map((digit) => ({ digit, power: one })));
  const isFew = ({ digit, power: one }: Step) => (high - low) / (digit * 10 ** one) <= mostTicks - 1;
  return steps.find((step) => isFew(step) && fits(step)) ?? { digit: 1, power: power + 2 };
}

/** On a logarithmic axis the last two labels are the nearest ones. */
function logStepOf(low: number, high: number): Step {
  return stepOf(low, high, ({ digit, power }) => {
    const size = digit * 10 ** power;
    const last = Math.floor(high / size) * size;
    return last - size < low || Math.log(last / (last - size)) >= leastGap * Math.log(high / low);
  });
}

function roundTicks(low: number, high: number, { digit, power }: Step): number[] {
  const size = digit * 10 ** power;
  // The ends themselves count, whatever the division makes of them.
  const [first, last] = [Math.ceil(low / size - 1e-9), Math.floor(high / size + 1e-9)];
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => rounded((first + index) * digit, power));
}

/** 1, 2 and 5 in each power of ten, or as many of the powers as there is room for. */
function decadeTicks(low: number, high: number): number[] {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const powers = Array.from({ length: last - first + 1 }, (_, index) => first + index);
  const isInside = (tick: number) => tick >= low && tick <= high;
  const fine = powers.flatMap((power) => [1, 2, 5].map((digit) => rounded(digit, power))).filter(isInside);
  if (fine.length <= mostTicks) return fine;
  const coarse = powers.map((power) => rounded(1, power)).filter(isInside);
  const stride = Math.ceil(coarse.length / mostTicks);
  return coarse.filter((_, index) => index % stride === 0);
}

/** `digits` times a power of ten, without the error of a multiplication: 0.3 instead of 0.30000000000000004. */
function rounded(digits: number, power: number): number {
  return Number(`${digits}e${power}`);
}

function limit(place: number): number {
  return Math.min(1, Math.max(0, place));
}
