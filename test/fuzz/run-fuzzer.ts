import { inspect } from "node:util";
import type { Fuzzer } from "./fuzzer.ts";
import { Random, seedOf } from "./random.ts";

/** No input may cost more: the time of this process, and the memory that it takes on the way. */
const mostCpuMs = 1000;
const mostGrowthBytes = 200e6;

interface RunOptions {
  readonly seed: number;
  readonly count: number;
  /** Number of the first input: 0, or that of a failure which is to be had again. */
  readonly first: number;
}

/** Tries one fuzzer and prints a line about it. @returns whether nothing was found. */
export async function runFuzzer(fuzzer: Fuzzer, { seed, count, first }: RunOptions): Promise<boolean> {
  const outcomes = new Map<string, number>();
  let slowestMs = 0;
  let growthBytes = 0;
  const again = (index: number) =>
    `npm run test:fuzz -- --only ${fuzzer.name} --seed ${seed} --first ${index} --count 1`;
  await using session = await fuzzer.open();
  for (let index = first; index < first + count; index += 1) {
    const before = { cpu: process.cpuUsage(), memory: process.memoryUsage.rss() };
    let outcome: string;
    try {
      outcome = await session.attempt(new Random(seedOf(seed, index)));
    } catch (error) {
      tell(`${fuzzer.name}: input ${index} of seed ${seed} was not handled; again: ${again(index)}\n${inspect(error)}`);
      return false;
    }
    const { user, system } = process.cpuUsage(before.cpu);
    const cpuMs = (user + system) / 1000;
    const growth = process.memoryUsage.rss() - before.memory;
    slowestMs = Math.max(slowestMs, cpuMs);
    growthBytes = Math.max(growthBytes, growth);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    if (cpuMs > mostCpuMs || growth > mostGrowthBytes) {
      tell(
        `${fuzzer.name}: input ${index} took ${cpuMs.toFixed()} ms and ${(growth / 1e6).toFixed()} MB; ` +
          `again: ${again(index)}`,
      );
      return false;
    }
  }
  const told = [...outcomes].toSorted((a, b) => b[1] - a[1]).map(([outcome, times]) => `${outcome} ${times}`);
  tell(
    `${fuzzer.name.padEnd(8)} ${count} inputs, seed ${seed}: slowest ${slowestMs.toFixed()} ms CPU, at most ` +
      `+${(growthBytes / 1e6).toFixed()} MB\n  ${told.join(", ")}`,
  );
  const missing = fuzzer.outcomes.filter((outcome) => !outcomes.has(outcome));
  if (missing.length > 0 && count > 1)
    tell(`${fuzzer.name}: no input came as far as ${missing.join(", ")}: the fuzzer shows too little`);
  return count === 1 || missing.length === 0;
}

export function tell(text: string): void {
  process.stdout.write(`${text}\n`);
}
