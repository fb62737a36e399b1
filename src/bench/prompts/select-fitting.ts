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
/**
 * Chooses from the shipped prompts those that leave room for an answer. Where a whole kind is too long, short questions
 * are asked in place of all, as with the demo model: its context has 512 tokens, and it knows stories only. (Prompts of
 * the user are all asked: each that is too long becomes a failed request that says so.)
 * @throws LlmctlError `no-prompts` when none fits; the error of `countTokens`.
 */
export async function selectFitting(shipped: readonly BenchPrompt[], options: FittingOptions): Promise<PromptFile> {
  const { contextTokens } = options;
  const prompts = await fittingOf(shipped, options);
  if (prompts.length === shipped.length) return { prompts, notes: [] };
  const left = `leave no room for an answer in a context of ${contextTokens} tokens`;
  const kinds = new Set(prompts.map(({ kind }) => kind));
  const tooLong = shipped.filter((prompt) => !prompts.includes(prompt));
  if (tooLong.every(({ kind }) => kinds.has(kind)))
    return {
      prompts,
      notes: [`${tooLong.length} of the ${shipped.length} shipped prompts ${left}: they are left out`],
    };
  const short = await fittingOf(await options.readShort(), options);
  if (short.length === 0) throw noneFits(contextTokens);
  return {
    prompts: short,
    notes: [`some of the usual prompts ${left}: ${short.length} short questions are asked in their place`],
  };
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
