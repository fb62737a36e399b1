import type { Estimate } from "./estimate.ts";

/** A ratio of speeds for people: `1.31 ×`, `0.012 ×`, `48 ×`. */
export function formatRatio(ratio: number): string {
  return `${bare(ratio)} ×`;
}

/** A ratio on an axis whose name tells that it is one: `1.2`. */
export function formatRatioTick(ratio: number): string {
  return bare(ratio);
}

/** `1.24 to 1.38`; `1.002 to 1.031`, since an end that reads as 1 would say that nothing was shown. */
export function formatInterval(interval: Pick<Estimate, "low" | "high">): string {
  const write = writerFor(interval);
  return `${write(interval.low)} to ${write(interval.high)}`;
}

/** `1.31 × (1.24 to 1.38)`, `1.016 × (1.002 to 1.031)`. */
export function formatEstimate(estimate: Estimate): string {
  return `${writerFor(estimate)(estimate.ratio)} × (${formatInterval(estimate)})`;
}

/** Writes the numbers of one estimate, all with a digit more where an end that is not 1 would read as 1. */
function writerFor({ low, high }: Pick<Estimate, "low" | "high">): (ratio: number) => string {
  const isClose = [low, high].some((end) => end !== 1 && bare(end) === "1.00");
  return (ratio) => (isClose && ratio < 10 ? ratio.toFixed(3) : bare(ratio));
}

function bare(ratio: number): string {
  if (ratio >= 10) return ratio.toFixed(ratio >= 100 ? 0 : 1);
  return ratio >= 0.1 || ratio === 0 ? ratio.toFixed(2) : ratio.toPrecision(2);
}

/** Memory, in powers of 1024 as systems count it: `702 MiB`, `1.2 GiB`. */
export function formatMemory(bytes: number): string {
  const mib = bytes / 2 ** 20;
  if (mib >= 1000) return `${(mib / 1024).toFixed(1)} GiB`;
  return `${bytes > 0 ? Math.max(1, Math.round(mib)) : 0} MiB`;
}

/** What a ratio adds: `+4 %`, `−12 %`, `± 0 %`. */
export function formatChange(ratio: number): string {
  const percent = Math.round((ratio - 1) * 100);
  if (percent === 0) return "± 0 %";
  return `${percent > 0 ? "+" : "−"}${Math.abs(percent)} %`;
}

/** `+1 % to +8 %`. */
export function formatChangeInterval({ low, high }: Pick<Estimate, "low" | "high">): string {
  return `${formatChange(low)} to ${formatChange(high)}`;
}

/** A share from 0 to 1: `76 %`. */
export function formatShare(share: number): string {
  const percent = share * 100;
  return `${percent > 0 && percent < 10 ? percent.toFixed(1) : percent.toFixed(0)} %`;
}

/** Tokens a second, to three digits and without a unit, which stands above or beside it: `4.83`, `48.3`, `483`. */
export function formatSpeed(tokensPerSecond: number): string {
  if (tokensPerSecond >= 100) return tokensPerSecond.toFixed(0);
  return tokensPerSecond.toFixed(tokensPerSecond >= 10 ? 1 : 2);
}

/** Milliseconds in a column of such, without a unit. */
export function formatMs(ms: number): string {
  return ms >= 1000 ? ms.toFixed(0) : ms.toFixed(1);
}

/** Numbers of tokens and prompts in groups of three, with spaces that do not end a line. */
export function formatCount(count: number): string {
  return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** `1 prompt`, `12 prompts`. */
export function countOf(count: number, thing: string): string {
  return `${formatCount(count)} ${thing}${count === 1 ? "" : "s"}`;
}

/** `2026-11-29 07:43 UTC`; a text that is no time stays as it is. */
export function formatMoment(iso: string): string {
  const [, day, minute] = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)[\d:.]*Z$/.exec(iso) ?? [];
  return day === undefined ? iso : `${day} ${minute} UTC`;
}
