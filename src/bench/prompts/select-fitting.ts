import { LlmctlError } from "../../base/errors.ts";
import type { BenchPrompt } from "../bench-prompt.ts";
import type { PromptFile } from "./read-prompts.ts";

export interface FittingOptions {
  /** The context of one slot. */
  readonly contextTokens: number;
  /** Number of tokens of a prompt, as the server counts them. */
  readonly countTokens: (prompt: BenchPrompt) => Promise<number>;
  /** Short prompts for the place of long ones. */
  readonly readShort: () => Promise<readonly BenchPrompt[]>;
}

/** Tokens that an answer needs at least: some drafts, and a time that can be measured. */
const leastAnswerTokens = 64;
/** With fewer prompts an interval says nothing. */
const leastPrompts = 8;

/**
 * Chooses from the shipped prompts those that leave room for an answer. Where few do, as with the demo model and its
 * context of 512 tokens, short questions are added. (Prompts of the user are all asked: each that is too long becomes a
 * failed request that says so.)
 * @throws LlmctlError `no-prompts` when none fits; the error of `countTokens`.
 */
export async function selectFitting(shipped: readonly BenchPrompt[], options: FittingOptions): Promise<PromptFile> {
  const prompts = await fittingOf(shipped, options);
  const left = shipped.length - prompts.length;
  if (left === 0) return { prompts, notes: [] };
  const short = prompts.length < leastPrompts ? await fittingOf(await options.readShort(), options) : [];
  if (prompts.length + short.length === 0) throw noneFits(options.contextTokens);
  const place = short.length === 0 ? "" : `, and ${short.length} short questions take their place`;
  const note = `${left} of the ${shipped.length} shipped prompts leave no room for an answer in a context of ${
    options.contextTokens
  } tokens: they are left out${place}`;
  return { prompts: [...prompts, ...short], notes: [note] };
}

function noneFits(contextTokens: number): LlmctlError {
  return new LlmctlError("no-prompts", `no shipped prompt fits into a context of ${contextTokens} tokens`, {
    exit: "failed",
    fix: "raise ctx_size of the profile, or pass shorter prompts with --prompts",
  });
}

async function fittingOf(
  prompts: readonly BenchPrompt[],
  { contextTokens, countTokens }: FittingOptions,
): Promise<readonly BenchPrompt[]> {
  const fitting: BenchPrompt[] = [];
  for (const prompt of prompts)
    if ((await countTokens(prompt)) + leastAnswerTokens <= contextTokens) fitting.push(prompt);
  return fitting;
}
