import { printableJson } from "../../base/text/printable.ts";
import { TextWalker, sameLayout } from "../../gguf/gguf-array.ts";
import type { TokenizerFacts } from "../../gguf/tokenizer-facts.ts";
import type { VocabRule } from "./build-vocab-rule.ts";

/** From this id on, token texts must be equal. @see llama.cpp `SPEC_VOCAB_CHECK_START_TOKEN_ID` */
export const firstComparedId = 5;

/** Vocabularies may differ in size by this many tokens. @see llama.cpp `SPEC_VOCAB_MAX_SIZE_DIFFERENCE` */
const mostSizeDifference = 128;

/** A token id whose text differs in the two vocabularies. */
export interface TokenDifference {
  readonly id: number;
  readonly target: string;
  readonly draft: string;
}

/** Why llama.cpp finds two vocabularies incompatible. */
export interface VocabMismatch {
  readonly kind: "type" | "bos" | "eos" | "size" | "text";
  readonly reason: string;
}

/**
 * llama.cpp's own comparison, `common_speculative_are_compatible`, in the same order: it returns the first mismatch.
 * @param textDifference The result of {@link findTokenDifference} from {@link firstComparedId} on.
 */
export function findMismatch(
  target: TokenizerFacts,
  draft: TokenizerFacts,
  rule: VocabRule,
  textDifference: TokenDifference | undefined,
): VocabMismatch | undefined {
  if (rule === "strict" ? !sameType(target, draft) : (target.vocabType === "none") !== (draft.vocabType === "none")) {
    return {
      kind: "type",
      reason: `the vocabularies are of different types: target ${nameType(target)}, draft ${nameType(draft)}`,
    };
  }
  for (const role of ["bos", "eos"] as const) {
    const [ours, theirs] = [findSpecialToken(target, role), findSpecialToken(draft, role)];
    const idCounts = rule !== "strict" || ours.isAdded;
    if (ours.isAdded === theirs.isAdded && (!idCounts || ours.id === theirs.id)) continue;
    return {
      kind: role,
      reason: `the ${role} tokens differ: target ${describeSpecialToken(ours)}, draft ${describeSpecialToken(theirs)}`,
    };
  }
  const difference = Math.abs(target.tokenCount - draft.tokenCount);
  if (difference > mostSizeDifference) {
    const sizes = `target ${target.tokenCount}, draft ${draft.tokenCount} tokens`;
    return { kind: "size", reason: `the vocabularies differ in size by ${difference}: ${sizes}` };
  }
  return textDifference === undefined ? undefined : { kind: "text", reason: describeDifference(textDifference) };
}

/** `token 1234 differs: target "a", draft "b"` */
export function describeDifference({ id, target, draft }: TokenDifference): string {
  return `token ${id} differs: target ${quote(target)}, draft ${quote(draft)}`;
}

/**
 * The first token id in `from`..`to` (exclusive) whose texts differ for llama.cpp, where a text ends at its first NUL
 * and an empty text is `[EMPTY_id]`. Vocabularies with equal bytes are not walked.
 */
export function findTokenDifference(
  target: TokenizerFacts,
  draft: TokenizerFacts,
  from: number,
  to = Infinity,
): TokenDifference | undefined {
  const [a, b] = [target.tokens, draft.tokens];
  if (a === undefined || b === undefined) return undefined;
  if (sameLayout(a, b) && Buffer.compare(a.bytes, b.bytes) === 0) return undefined;
  const [left, right] = [new TextWalker(a), new TextWalker(b)];
  for (let id = 0; id < to && left.next() && right.next(); id += 1) {
    if (id < from || left.isAt(right)) continue;
    const [ours, theirs] = [readTokenText(left, id), readTokenText(right, id)];
    if (!ours.equals(theirs)) return { id, target: ours.toString("utf8"), draft: theirs.toString("utf8") };
  }
  return undefined;
}

function readTokenText(walker: TextWalker, id: number): Buffer {
  const bytes = Buffer.from(walker.bytes.subarray(walker.start, walker.end));
  const nul = bytes.indexOf(0);
  const text = nul === -1 ? bytes : bytes.subarray(0, nul);
  return text.length === 0 ? Buffer.from(`[EMPTY_${id}]`) : text;
}

/** Unknown tokenizers are compared by their names. */
function sameType(a: TokenizerFacts, b: TokenizerFacts): boolean {
  return a.vocabType === b.vocabType && (a.vocabType !== "unknown" || a.model === b.model);
}

function nameType(facts: TokenizerFacts): string {
  return facts.vocabType === "unknown" ? quote(facts.model ?? "") : facts.vocabType;
}

interface SpecialToken {
  readonly isAdded: boolean;
  readonly id: number | undefined;
}

function findSpecialToken(facts: TokenizerFacts, role: "bos" | "eos"): SpecialToken {
  return role === "bos" ? { isAdded: facts.addBos, id: facts.bosId } : { isAdded: facts.addEos, id: facts.eosId };
}

function describeSpecialToken({ isAdded, id }: SpecialToken): string {
  return `${id ?? "none"}${isAdded ? ", added" : ", not added"}`;
}

/** A token's text for a message: quoted, and cut when it is long. */
function quote(text: string): string {
  return printableJson(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}
