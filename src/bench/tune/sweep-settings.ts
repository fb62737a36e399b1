import type { BenchPrompt } from "../bench-prompt.ts";
import { isMeasured, type FailedRequest, type Measurement, msPerToken, type Timing } from "../measurement.ts";
import { addCycles } from "../predict/drafting-cost.ts";
import type { DraftSetting } from "../predict/replay.ts";
import type { GridPrediction } from "../predict/speedup-grid.ts";
import { meanOf } from "../statistics/interval.ts";

export interface SweepOptions {
  readonly prompts: readonly BenchPrompt[];
  readonly timing: Timing;
  /** Asks a server to draft with these numbers; undefined: without drafting. */
  readonly ask: (prompt: BenchPrompt, setting: DraftSetting | undefined) => Promise<Measurement | FailedRequest>;
  readonly settings?: readonly DraftSetting[];
}

/** Lengths whose neighbours differ by half: measurements do not tell closer ones apart. */
const sweptLengths = [1, 2, 3, 4, 6, 8, 12, 16];
const sweptProbabilities = [0, 0.5, 0.75];

const sweptSettings: readonly DraftSetting[] = sweptLengths.flatMap((nMax) =>
  sweptProbabilities.map((pMin) => ({ nMax, nMin: 0, pMin })),
);

/** As the finalists are afterwards. */
const fewestLeft = 4;
/** A server may remember the drafts of the prompt before, so it is never asked the same one twice in a row. */
export const fewestSweptPrompts = 2;

/**
 * Successive halving over prompts: all settings answer two prompts, the better half two more, and so on, each compared
 * with the same prompt without drafting.
 * @returns the settings that were left at the end, each measured with all prompts that it was asked.
 * @throws as `ask`.
 */
export async function sweepSettings(options: SweepOptions): Promise<GridPrediction[]> {
  const { prompts, settings = sweptSettings } = options;
  let left = settings.map((setting): Swept => ({ setting, logRatios: [], drafted: 0 }));
  for (let from = 0, count = fewestSweptPrompts; from < prompts.length; from += count, count *= 2) {
    const part = prompts.slice(from, from + count);
    // A single last prompt would be asked again and again.
    if (part.length < fewestSweptPrompts) break;
    await sweepPart(part, left, options);
    left = left.filter(({ logRatios }) => logRatios.length > 0);
    if (left.length <= fewestLeft) continue;
    const better = left.toSorted((a, b) => meanOf(b.logRatios) - meanOf(a.logRatios));
    left = better.slice(0, Math.max(fewestLeft, Math.ceil(left.length / 2)));
  }
  return left.map(({ setting, logRatios, drafted }) => ({
    setting,
    ratio: Math.exp(meanOf(logRatios)),
    sums: { ...addCycles([]), drafted },
  }));
}

interface Swept {
  readonly setting: DraftSetting;
  /** Above 0 it was faster than no drafting, one for each prompt. */
  readonly logRatios: number[];
  /** Number of drafted tokens. */
  drafted: number;
}

async function sweepPart(part: readonly BenchPrompt[], left: Swept[], { ask, timing }: SweepOptions): Promise<void> {
  const none = new Map<string, number>();
  for (const prompt of part) {
    const ms = msOf(await ask(prompt, undefined), timing);
    if (ms !== undefined) none.set(prompt.id, ms);
  }
  for (const swept of left) {
    for (const prompt of part) {
      const noneMs = none.get(prompt.id);
      const result = await ask(prompt, swept.setting);
      const ms = msOf(result, timing);
      if (noneMs === undefined || ms === undefined || !isMeasured(result)) continue;
      swept.logRatios.push(Math.log(noneMs / ms));
      swept.drafted += result.draftTokens;
    }
  }
}

function msOf(result: Measurement | FailedRequest, timing: Timing): number | undefined {
  return isMeasured(result) ? msPerToken(result, timing) : undefined;
}
