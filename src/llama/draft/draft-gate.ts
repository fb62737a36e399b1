import type { Fix } from "../../base/fix.ts";
import { decodeNumbers } from "../../gguf/gguf-array.ts";
import { findArray, findInteger } from "../../gguf/metadata.ts";
import type { ModelFacts } from "../../gguf/model-facts.ts";
import { mostLayers, readModelFacts } from "../../gguf/model-facts.ts";
import type { GgufModel } from "../../gguf/read-model.ts";
import { draftingTypes, findDraftingType, splitDraftingTypes } from "../../profiles/rules/drafting-types.ts";
import type { TokenDifference } from "./compare-vocab.ts";
import { findMismatch, findTokenDifference, firstComparedId } from "./compare-vocab.ts";
import { findPairWarnings } from "./draft-warnings.ts";
import type { VocabRule } from "./build-vocab-rule.ts";

/** What the build does with this pair and this drafting type. */
type LlamaCppOutcome = keyof typeof outcomeTexts;

/** Outcomes for people; "llama.cpp" is the subject of each sentence. */
export const outcomeTexts = {
  drafts: "drafts with this pair",
  "serves-without-drafting": "serves without drafting",
  translates: "translates the tokens through text: drafts are almost never accepted, and requests may fail",
  exits: "does not start",
  aborts: "aborts",
  "breaks-requests": "starts, then fails requests or aborts",
} as const;

interface VerdictBase {
  /** Differences that llama.cpp permits without a warning although they cost speed. */
  readonly warnings: readonly string[];
  /** What the build itself would do with these files. */
  readonly llamaCpp: LlamaCppOutcome;
}

interface Obstacle {
  readonly reason: string;
  readonly fix: Fix;
  readonly firstDifference?: TokenDifference;
}

/**
 * - `on`: the pair can draft.
 * - `off`: it cannot, and the build would still serve, without drafting or with drafts that are almost never accepted.
 * - `refuse`: with this pair the build, or another build with the same flags, would exit, abort or fail requests.
 *
 * After `off` and `refuse` serving without a draft is possible: the profile's `on_mismatch` decides.
 */
export type DraftVerdict =
  | (VerdictBase & { readonly verdict: "on" })
  | (VerdictBase & Obstacle & { readonly verdict: "off" })
  | (VerdictBase & Obstacle & { readonly verdict: "refuse" });

export interface DraftQuestion {
  readonly target: GgufModel;
  /** Undefined for drafting types that need no draft model. */
  readonly draft?: GgufModel | undefined;
  /** Drafting types in llama.cpp's words, joined by commas. */
  readonly type: string;
  readonly rule: VocabRule;
  /** The profile's context size in tokens; 0 or undefined means that of the target. */
  readonly ctxSize?: number | undefined;
}

interface DraftPair {
  readonly target: ModelFacts;
  readonly draft: ModelFacts | undefined;
  readonly question: DraftQuestion;
}

/**
 * Decides from headers alone whether a draft can speed up a target on a build of llama.cpp.
 *
 * The verdict is that of llama.cpp, with one stricter rule: vocabularies whose sizes differ by up to 128 tokens pass
 * its check and then fail requests or abort the server, so they are refused here.
 * @see llama.cpp common/speculative.cpp `common_speculative_are_compatible`, in its version of each range of builds
 */
export function decideDraft(question: DraftQuestion): DraftVerdict {
  const draft = question.draft === undefined ? undefined : readModelFacts(question.draft);
  const pair = { target: readModelFacts(question.target), draft, question };
  const types = splitDraftingTypes(question.type);
  const verdicts = types.map((type) => decideType(type, pair));
  const rank = { on: 0, off: 1, refuse: 2 };
  // When one type fails, llama.cpp sets up none of them.
  const worst = verdicts.reduce((a, b) => (rank[b.verdict] > rank[a.verdict] ? b : a));
  const isIdle = draft !== undefined && types.every((type) => findDraftingType(type)?.source === "ngram");
  const idle = isIdle ? [`the draft model is never used: drafting type "${question.type}" needs no draft model`] : [];
  return { ...worst, warnings: [...new Set([...verdicts.flatMap((verdict) => verdict.warnings), ...idle])] };
}

function decideType(type: string, pair: DraftPair): DraftVerdict {
  const { question, target, draft } = pair;
  const targetProblem = findLoadProblem("target", target, question.rule);
  if (targetProblem !== undefined) return targetProblem;
  const known = findDraftingType(type);
  if (known?.source === "ngram") return on();
  const draftProblem = draft === undefined ? undefined : findLoadProblem("draft", draft, question.rule);
  if (draftProblem !== undefined) return draftProblem;
  switch (known?.source) {
    case undefined:
      return on([`llmctl does not know the drafting type "${type}"; the models were not compared`]);
    case "none":
      return off("serves-without-drafting", {
        reason: 'the drafting type is "none"',
        fix: "set draft.type, or remove draft from the profile",
      });
    case "model":
      return decideSimple(pair);
    case "nextn":
      return findMissingType(type, question.rule) ?? decideMtp(pair);
    case "head":
      return findMissingType(type, question.rule) ?? decideHead({ type, architecture: known.architecture }, pair);
  }
}

/** Types other than draft-simple came with the builds that compare vocabularies strictly. */
function findMissingType(type: string, rule: VocabRule): DraftVerdict | undefined {
  if (rule === "strict") return undefined;
  return refuse("exits", {
    reason: `this build has no drafting type "${type}"`,
    fix: "use a newer llama.cpp, or draft.type: draft-simple",
  });
}

function decideSimple(pair: DraftPair): DraftVerdict {
  const { target, draft, question } = pair;
  if (draft === undefined) {
    const obstacle = { reason: "drafting type draft-simple needs a draft model", fix: "set draft.model" };
    // Newer builds log an error and serve; b10068 has the same flags and crashes with a segmentation fault.
    return question.rule === "strict"
      ? refuse("serves-without-drafting", obstacle)
      : off("serves-without-drafting", obstacle);
  }
  const headType = findHeadType(draft.architecture);
  if (headType !== undefined) {
    const reason = `the draft is a ${draft.architecture} head, which cannot draft on its own`;
    return refuse("aborts", { reason, fix: `set draft.type: ${headType}, or use a whole model as the draft` });
  }
  const difference = findTokenDifference(target.tokenizer, draft.tokenizer, firstComparedId);
  const mismatch = findMismatch(target.tokenizer, draft.tokenizer, question.rule, difference);
  if (mismatch !== undefined) return incompatible(pair, mismatch.reason, difference);
  if (target.tokenizer.tokenCount !== draft.tokenizer.tokenCount) return unequalSizes(target, draft);
  return on(findPairWarnings(target, draft, question.ctxSize));
}

/** The first drafting type whose heads have this architecture. */
function findHeadType(architecture: string | undefined): string | undefined {
  const types = Object.entries(draftingTypes);
  return types.find(([, type]) => type.source === "head" && type.architecture === architecture)?.[0];
}

/** What each range of builds does with incompatible vocabularies. */
const onMismatch = {
  strict: { verdict: "off", llamaCpp: "serves-without-drafting" },
  translate: { verdict: "off", llamaCpp: "translates" },
  refuse: { verdict: "refuse", llamaCpp: "exits" },
} as const satisfies Record<VocabRule, { verdict: "off" | "refuse"; llamaCpp: LlamaCppOutcome }>;

function incompatible(
  { target, question }: DraftPair,
  reason: string,
  difference: TokenDifference | undefined,
): DraftVerdict {
  const standard = "use a draft with the target's own tokenizer, such as a smaller model of the same family";
  const mtp = question.rule === "strict" && target.nextnLayers > 0 && target.hasNextnTensors;
  return {
    ...onMismatch[question.rule],
    reason,
    fix: mtp ? `${standard}; or set draft.type: draft-mtp: the target can draft with its own NextN layer` : standard,
    warnings: [],
    ...(difference === undefined ? {} : { firstDifference: difference }),
  };
}

function unequalSizes(target: ModelFacts, draft: ModelFacts): DraftVerdict {
  const sizes = `target ${target.tokenizer.tokenCount}, draft ${draft.tokenizer.tokenCount} tokens`;
  return refuse("breaks-requests", {
    reason: `the vocabularies differ in size (${sizes}): llama.cpp permits this, and then fails requests or aborts`,
    fix: "use a draft whose vocabulary has the same size",
  });
}

function decideMtp({ target, draft }: DraftPair): DraftVerdict {
  const head = draft ?? target;
  const who = draft === undefined ? "target" : "draft";
  if (head.nextnLayers === 0) {
    return refuse("exits", {
      reason: `the ${who} has no NextN (MTP) layer to draft with`,
      fix: "use draft.type: draft-simple with a draft model",
    });
  }
  if (!head.hasNextnTensors) {
    const reason = `the ${who} declares ${head.nextnLayers} NextN (MTP) layer(s), but its file lacks their tensors`;
    return refuse("aborts", { reason, fix: "use a file with the NextN tensors, or set draft.model to the MTP head" });
  }
  if (draft === undefined) return on();
  if (draft.outputLength !== target.outputLength) {
    const widths = `target ${target.outputLength}, draft ${draft.outputLength}`;
    const fix = "use draft.type: draft-simple, or remove draft.model to draft with the target's own NextN layer";
    return refuse("aborts", {
      reason: `the draft's NextN layer does not fit this target: its width differs (${widths})`,
      fix,
    });
  }
  return draft.tokenizer.tokenCount === target.tokenizer.tokenCount ? on() : unequalSizes(target, draft);
}

interface HeadType {
  readonly type: string;
  /** The architecture that a draft of this type has. */
  readonly architecture: string;
}

function decideHead({ type, architecture }: HeadType, { target, draft, question }: DraftPair): DraftVerdict {
  if (draft === undefined || question.draft === undefined) {
    return off("serves-without-drafting", {
      reason: `drafting type ${type} needs a draft model`,
      fix: "set draft.model",
    });
  }
  const fix = `use an ${architecture} head that was trained for this target`;
  if (draft.architecture !== architecture) {
    const reason =
      `drafting type ${type} needs a draft of architecture ${architecture}; ` +
      `this one has architecture ${draft.architecture}`;
    return type === "draft-eagle3"
      ? off("serves-without-drafting", { reason, fix })
      : refuse("aborts", { reason, fix });
  }
  const { header } = question.draft;
  const width = findInteger(header, `${architecture}.target_hidden_size`) ?? draft.embeddingLength;
  if (width !== target.embeddingLength) {
    return refuse("aborts", {
      reason: `the draft is made for a target of width ${width}; this target has width ${target.embeddingLength}`,
      fix,
    });
  }
  const layers = findArray(header, `${architecture}.target_layers`);
  const deepest = ((layers && decodeNumbers(layers, mostLayers)) ?? []).reduce(
    (most, layer) => Math.max(most, layer),
    0,
  );
  const trunk = (target.layers ?? Infinity) - target.nextnLayers;
  if (deepest > trunk) {
    return refuse("aborts", {
      reason: `the draft reads layer ${deepest} of its target; this target has ${trunk} layers`,
      fix,
    });
  }
  return on();
}

function findLoadProblem(who: string, model: ModelFacts, rule: VocabRule): DraftVerdict | undefined {
  const { loadProblem, olderBuildsLoad } = model.tokenizer;
  const fix = `use another file of the ${who}`;
  if (loadProblem !== undefined && rule !== "strict" && olderBuildsLoad) {
    return refuse("drafts", { reason: `the ${who} is broken, and this build does not detect it: ${loadProblem}`, fix });
  }
  // Newer builds load such a file without the layers.
  const lacksLayers = rule !== "strict" && model.nextnLayers > 0 && !model.hasNextnTensors;
  const problem =
    loadProblem ??
    (lacksLayers ? `it declares ${model.nextnLayers} NextN (MTP) layer(s) whose tensors it lacks` : undefined);
  return problem === undefined
    ? undefined
    : refuse("exits", { reason: `llama.cpp cannot load the ${who}: ${problem}`, fix });
}

function on(warnings: readonly string[] = []): DraftVerdict {
  return { verdict: "on", llamaCpp: "drafts", warnings };
}

function off(llamaCpp: LlamaCppOutcome, obstacle: Obstacle): DraftVerdict {
  return { verdict: "off", llamaCpp, warnings: [], ...obstacle };
}

function refuse(llamaCpp: LlamaCppOutcome, obstacle: Obstacle): DraftVerdict {
  return { verdict: "refuse", llamaCpp, warnings: [], ...obstacle };
}
