import { isListOf, isNumber, isShape } from "../../base/text/check-shape.ts";
import { draftingKeys, readsDraftingKeys } from "../../llama/server/request-drafting.ts";
import type { BenchPrompt } from "../bench-prompt.ts";
import { addCycles } from "../predict/drafting-cost.ts";
import type { DraftSetting } from "../predict/replay.ts";
import type { GridPrediction } from "../predict/speedup-grid.ts";
import type { RoundKeeper } from "../rounds/run-rounds.ts";
import { isCount } from "../round-shape.ts";
import type { TracedCandidate } from "./candidate.ts";
import { predictSwept, predictTraced } from "./predict-candidates.ts";
import type { Search, TuneFindings } from "./search.ts";
import { fewestSweptPrompts, sweepSettings } from "./sweep-settings.ts";

interface KeptSetting extends DraftSetting {
  readonly ratio: number;
  readonly drafted: number;
}

interface KeptSweep {
  readonly settings: readonly KeptSetting[];
}

const isSetting = isShape<KeptSetting>({
  nMax: isCount,
  nMin: isCount,
  pMin: isNumber,
  ratio: isNumber,
  drafted: isCount,
});
const isKept = isShape<KeptSweep>({ settings: isListOf(isSetting) });

/**
 * Measures many settings of one candidate on the server that is loaded, where each request can bring its own; where
 * not, some lengths are measured later, each with a load of its own.
 */
export async function sweepCandidate(
  traced: TracedCandidate,
  search: Search,
  found: TuneFindings,
  keeper: RoundKeeper,
): Promise<void> {
  const { candidate } = traced;
  await search.progress.stage("sweep", async () => {
    const grid = await sweep(traced, search, found, keeper);
    found.predictions.push(
      grid === undefined ? predictTraced(candidate, { trace: undefined }, undefined) : predictSwept(candidate, grid),
    );
    const what = grid === undefined ? "the build takes no settings with a request" : `${grid.length} settings are left`;
    return [undefined, `${candidate.label}: ${what}`];
  });
}

/** @returns undefined where it is not possible. */
async function sweep(
  { candidate, setting: { label } }: TracedCandidate,
  { options, contest }: Search,
  { prompts }: TuneFindings,
  keeper: RoundKeeper,
): Promise<GridPrediction[] | undefined> {
  const { signal, timing } = options;
  const name = `sweep of ${candidate.label}`;
  const kept = keeper.get(name, isKept);
  if (kept !== undefined) return kept.settings.map(toPrediction);
  if (prompts.length < fewestSweptPrompts) return undefined;
  const { server } = await contest.server(label, signal);
  if (!(await readsDraftingKeys(server.endpoint, signal))) return undefined;
  const ask = async (prompt: BenchPrompt, drafting: DraftSetting | undefined) => {
    const keys = draftingKeys(drafting ?? { nMax: 0, nMin: 0, pMin: 0 });
    const [result] = await contest.ask(label, [{ ...prompt, body: { ...prompt.body, ...keys } }], signal);
    return result ?? { error: "it was not asked" };
  };
  const grid = await sweepSettings({ prompts, timing, ask });
  const settings = grid.map(({ setting, ratio, sums }): KeptSetting => ({ ...setting, ratio, drafted: sums.drafted }));
  await keeper.put(name, { settings });
  return grid;
}

function toPrediction({ ratio, drafted, ...setting }: KeptSetting): GridPrediction {
  return { setting, ratio, sums: { ...addCycles([]), drafted } };
}
