import { isListOf, isShape, isText } from "../../base/text/check-shape.ts";
import { countPromptTokens, readContextTokens } from "../../llama/server/prompt-tokens.ts";
import type { BenchPrompt } from "../bench-prompt.ts";
import { readPrompts, readShortPrompts, type PromptFile } from "../prompts/read-prompts.ts";
import { selectFitting } from "../prompts/select-fitting.ts";
import type { RoundKeeper } from "../rounds/run-rounds.ts";
import type { BenchServer } from "../servers/bench-server.ts";

interface ChooseOptions {
  /** A server that knows the context and counts tokens; started when it is needed. */
  readonly server: () => Promise<BenchServer>;
  readonly keeper: Pick<RoundKeeper, "get" | "put">;
  readonly signal: AbortSignal;
}

/** Stands for the shipped prompts, whichever of them fit. */
export const shippedPrompts = "shipped";

const keptName = "shipped prompts";

interface KeptPrompts {
  readonly ids: readonly string[];
  readonly notes: readonly string[];
}

const isKept = isShape<KeptPrompts>({ ids: isListOf(isText), notes: isListOf(isText) });

/**
 * The prompts of a measurement: those of the user as they are, else the shipped ones that fit into the context. The
 * choice is kept: when a measurement goes on, it needs no server for it.
 * @throws LlmctlError `no-prompts`, and as the server.
 */
export async function choosePrompts(
  own: readonly BenchPrompt[] | undefined,
  { server, keeper, signal }: ChooseOptions,
): Promise<PromptFile> {
  if (own !== undefined) return { prompts: own, notes: [] };
  const { prompts: shipped } = await readPrompts(undefined);
  const kept = await findKept([...shipped, ...(await readShortPrompts())], keeper);
  if (kept !== undefined) return kept;
  const { endpoint } = await server();
  const chosen = await selectFitting(shipped, {
    contextTokens: await readContextTokens(endpoint, signal),
    countTokens: (prompt) => countPromptTokens(endpoint, prompt, signal),
    readShort: readShortPrompts,
  });
  await keeper.put(keptName, { ids: chosen.prompts.map(({ id }) => id), notes: chosen.notes });
  return chosen;
}

/** @returns undefined where nothing is kept, or prompts of another version of llmctl. */
async function findKept(
  known: readonly BenchPrompt[],
  keeper: Pick<RoundKeeper, "get">,
): Promise<PromptFile | undefined> {
  const kept = keeper.get(keptName, isKept);
  if (kept === undefined) return undefined;
  const byId = new Map(known.map((prompt) => [prompt.id, prompt]));
  const prompts = kept.ids.flatMap((id) => byId.get(id) ?? []);
  return prompts.length === kept.ids.length ? { prompts, notes: kept.notes } : undefined;
}

/** As many prompts of the list as are permitted, evenly spread, since a file often has one kind after the other. */
export function samplePrompts({ prompts, notes }: PromptFile, most: number): PromptFile {
  const count = prompts.length;
  if (count <= most) return { prompts, notes };
  const share = most / count;
  const sample = prompts.filter((_, index) => Math.floor((index + 1) * share) > Math.floor(index * share));
  return { prompts: sample, notes: [...notes, `${most} of the ${count} prompts were asked, evenly spread`] };
}
