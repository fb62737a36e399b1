import { sameElements } from "../../gguf/gguf-array.ts";
import type { GgufArray } from "../../gguf/gguf-array.ts";
import type { ModelFacts } from "../../gguf/model-facts.ts";
import type { TokenizerFacts } from "../../gguf/tokenizer-facts.ts";
import { describeDifference, findTokenDifference, firstComparedId } from "./compare-vocab.ts";

/**
 * Differences that llama.cpp permits without a warning although they lower the acceptance rate, or make drafting slower
 * than no drafting.
 * @param ctxSize The profile's context size in tokens; 0 or undefined means that of the target.
 */
export function findPairWarnings(target: ModelFacts, draft: ModelFacts, ctxSize: number | undefined): string[] {
  return [
    ...tokenizerWarnings(target.tokenizer, draft.tokenizer),
    ...templateWarnings(target, draft),
    ...sizeWarnings(target, draft, ctxSize),
  ];
}

function tokenizerWarnings(target: TokenizerFacts, draft: TokenizerFacts): string[] {
  const warnings: string[] = [];
  if (target.vocabType !== draft.vocabType) {
    warnings.push(`the vocabularies are of different types (target ${target.vocabType}, draft ${draft.vocabType})`);
  }
  if (target.vocabType === "unknown")
    warnings.push(`llmctl does not know the tokenizer "${target.model}"; only its tokens were compared`);
  if (target.pre !== draft.pre) {
    warnings.push(
      `the pre-tokenizers differ (target "${target.pre}", draft "${draft.pre}"): ` +
        "the draft was trained on text that was split differently",
    );
  }
  if (!sameArrays(target.merges, draft.merges))
    warnings.push("the merges differ: the draft was trained on text that was split differently");
  if (!sameArrays(target.tokenTypes, draft.tokenTypes))
    warnings.push("the token types differ: a control token of one model may be text in the other");
  const early = findTokenDifference(target, draft, 0, firstComparedId);
  if (early !== undefined)
    warnings.push(`${describeDifference(early)}; llama.cpp does not compare the first ${firstComparedId} tokens`);
  return [...warnings, ...roleWarnings(target, draft)];
}

function sameArrays(a: GgufArray | undefined, b: GgufArray | undefined): boolean {
  return a === undefined || b === undefined ? a === b : sameElements(a, b);
}

function roleWarnings(target: TokenizerFacts, draft: TokenizerFacts): string[] {
  const roles = (facts: TokenizerFacts): Record<string, number | undefined> => ({
    eos: facts.eosId,
    eot: facts.eotId,
    eom: facts.eomId,
    ...Object.fromEntries(Object.entries(facts.fimIds).map(([role, id]) => [`fim_${role}`, id])),
  });
  const [ours, theirs] = [roles(target), roles(draft)];
  const names = new Set([...Object.keys(ours), ...Object.keys(theirs)]);
  return [...names]
    .filter((name) => ours[name] !== theirs[name])
    .map((name) => `the ${name} tokens differ (target ${ours[name] ?? "none"}, draft ${theirs[name] ?? "none"})`);
}

function templateWarnings(target: ModelFacts, draft: ModelFacts): string[] {
  return target.chatTemplateHash === draft.chatTemplateHash
    ? []
    : ["the chat templates differ: the draft may not have been trained on prompts in this form"];
}

function sizeWarnings(target: ModelFacts, draft: ModelFacts, ctxSize: number | undefined): string[] {
  const warnings: string[] = [];
  if (draft.parameters >= target.parameters)
    warnings.push("the draft has no fewer parameters than the target: drafting will hardly be faster than no drafting");
  const wanted = (ctxSize || target.contextLength) ?? 0;
  const trained = draft.contextLength ?? Infinity;
  if (trained < wanted) {
    warnings.push(
      `the draft was trained for ${trained} tokens and the context is ${wanted}: ` +
        "beyond its length few of its tokens will be accepted",
    );
  }
  return warnings;
}
