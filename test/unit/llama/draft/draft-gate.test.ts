import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { decodeTexts } from "../../../../src/gguf/gguf-array.ts";
import { findArray } from "../../../../src/gguf/metadata.ts";
import { readModel } from "../../../../src/gguf/read-model.ts";
import type { VocabRule } from "../../../../src/llama/draft/build-vocab-rule.ts";
import { decideDraft, type DraftVerdict } from "../../../../src/llama/draft/draft-gate.ts";
import { draftingTypes } from "../../../../src/profiles/rules/drafting-types.ts";
import type { Part, TensorPart } from "../../../support/gguf-builder.ts";
import { editGguf, modelFrom, modelKeys } from "../../../support/gguf-builder.ts";

type Keys = Readonly<Record<string, Part>>;

/** A small target and a draft half its size, with these metadata keys and tensors changed. */
interface Pair {
  readonly target?: Keys;
  readonly targetTensors?: readonly TensorPart[];
  readonly draft?: Keys | "none";
  readonly draftTensors?: readonly TensorPart[];
}

interface Question extends Pair {
  readonly type?: string;
  readonly rule?: VocabRule;
}

async function decide({ type = "draft-simple", rule = "strict", ...pair }: Question): Promise<DraftVerdict> {
  const { target, targetTensors = [], draft, draftTensors = [] } = pair;
  const embedding = (width: number) => ({ name: "token_embd.weight", ne: [width, 32] });
  return decideDraft({
    target: await modelFrom({ metadata: modelKeys(target), tensors: [embedding(64), ...targetTensors] }),
    draft:
      draft === "none"
        ? undefined
        : await modelFrom({ metadata: modelKeys(draft), tensors: [embedding(32), ...draftTensors] }),
    type,
    rule,
  });
}

type Outcome = DraftVerdict["llamaCpp"];

const on = (...warnings: string[]): DraftVerdict => ({ verdict: "on", llamaCpp: "drafts", warnings });
const obstacle = (reason: string, fix: string, more: object = {}) => ({ reason, fix, warnings: [], ...more });
const off = (llamaCpp: Outcome, ...why: Parameters<typeof obstacle>): DraftVerdict => ({
  verdict: "off",
  llamaCpp,
  ...obstacle(...why),
});
const refuse = (llamaCpp: Outcome, ...why: Parameters<typeof obstacle>): DraftVerdict => ({
  verdict: "refuse",
  llamaCpp,
  ...obstacle(...why),
});

/** Tokens `token0`, `token1` … with some of them replaced. */
function vocabulary(count: number, edits: Readonly<Record<number, string>> = {}): Record<string, Part> {
  const tokens = Array.from({ length: count }, (_, id) => edits[id] ?? `token${id}`);
  return { "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": tokens.map(() => 1) };
}

const nextn = { name: "blk.1.nextn.eh_proj.weight", ne: [4] };
const declared = { "llama.nextn_predict_layers": 1 };
/** llama.cpp cannot load it: `tokenizer.ggml.token_type` is too short. Older builds do not see that. */
const shortList = { "tokenizer.ggml.token_type": [1] };
const shortListProblem = "tokenizer.ggml.token_type has 1 entries for 32 tokens";
/** No build of llama.cpp can load it. */
const noTokens = { "tokenizer.ggml.tokens": 1 };
const noTokensProblem = "it has no list of tokens";

const head = (architecture: string, keys: Keys = {}): Keys => ({ "general.architecture": architecture, ...keys });
const eagle = (keys: Keys = {}): Keys =>
  head("eagle3", { "eagle3.target_hidden_size": 64, "eagle3.target_layers": [2, 0, 1], ...keys });
const dflash = (keys: Keys = {}): Keys =>
  head("dflash", { "dflash.embedding_length": 64, "dflash.target_layers": [1], ...keys });

const sameTokenizer = "use a draft with the target's own tokenizer, such as a smaller model of the same family";
const sameSize = "use a draft whose vocabulary has the same size";
const sizeFault = (target: number, draft: number) =>
  `the vocabularies differ in size (target ${target}, draft ${draft} tokens): ` +
  "llama.cpp permits this, and then fails requests or aborts";
const noSuchType = (type: string) =>
  refuse("exits", `this build has no drafting type "${type}"`, "use a newer llama.cpp, or draft.type: draft-simple");
const otherToken = { draft: vocabulary(32, { 9: "other" }) };
const tokenNine = 'token 9 differs: target "token9", draft "other"';
const firstDifference = { id: 9, target: "token9", draft: "other" };

describe("draft-simple", () => {
  test.each<[string, Question, DraftVerdict]>([
    ["drafts with the target's tokenizer", {}, on()],
    ["… on builds that translate", { rule: "translate" }, on()],
    ["… on builds that refuse", { rule: "refuse" }, on()],
    [
      "of another token, newer builds serve without drafting",
      otherToken,
      off("serves-without-drafting", tokenNine, sameTokenizer, { firstDifference }),
    ],
    [
      "… those between translate",
      { ...otherToken, rule: "translate" },
      off("translates", tokenNine, sameTokenizer, { firstDifference }),
    ],
    [
      "… and old ones do not start",
      { ...otherToken, rule: "refuse" },
      refuse("exits", tokenNine, sameTokenizer, { firstDifference }),
    ],
    [
      "the fix names the target's own NextN layer",
      { ...otherToken, target: declared, targetTensors: [nextn] },
      off(
        "serves-without-drafting",
        tokenNine,
        `${sameTokenizer}; or set draft.type: draft-mtp: the target can draft with its own NextN layer`,
        { firstDifference },
      ),
    ],
    [
      "… but not on a build that cannot draft with it",
      { ...otherToken, target: declared, targetTensors: [nextn], rule: "translate" },
      off("translates", tokenNine, sameTokenizer, { firstDifference }),
    ],
    [
      "… and not when its tensors are missing",
      { ...otherToken, target: declared },
      off("serves-without-drafting", tokenNine, sameTokenizer, { firstDifference }),
    ],
    [
      "… and not when the layer is not declared",
      { ...otherToken, targetTensors: [nextn] },
      off("serves-without-drafting", tokenNine, sameTokenizer, { firstDifference }),
    ],
    [
      "a mismatch that is no token's has no first difference",
      { draft: { "tokenizer.ggml.add_bos_token": true } },
      off("serves-without-drafting", "the bos tokens differ: target 0, not added, draft 0, added", sameTokenizer),
    ],
    ...[127, 128].flatMap((more): [string, Question, DraftVerdict][] => [
      [
        `a draft with ${more} more tokens passes llama.cpp and fails later`,
        { draft: vocabulary(32 + more) },
        refuse("breaks-requests", sizeFault(32, 32 + more), sameSize),
      ],
      [
        `so does a draft with ${more} fewer`,
        { target: vocabulary(32 + more) },
        refuse("breaks-requests", sizeFault(32 + more, 32), sameSize),
      ],
    ]),
    [
      "129 more tokens are llama.cpp's own mismatch, which names the first differing token all the same",
      { target: vocabulary(32 + 129, { 7: "x" }) },
      off(
        "serves-without-drafting",
        "the vocabularies differ in size by 129: target 161, draft 32 tokens",
        sameTokenizer,
        { firstDifference: { id: 7, target: "x", draft: "token7" } },
      ),
    ],
    [
      "without a draft model some newer builds crash",
      { draft: "none" },
      refuse("serves-without-drafting", "drafting type draft-simple needs a draft model", "set draft.model"),
    ],
    [
      "without a draft model older builds serve",
      { draft: "none", rule: "translate" },
      off("serves-without-drafting", "drafting type draft-simple needs a draft model", "set draft.model"),
    ],
    [
      "an eagle3 head cannot draft alone",
      { draft: eagle() },
      refuse(
        "aborts",
        "the draft is a eagle3 head, which cannot draft on its own",
        "set draft.type: draft-eagle3, or use a whole model as the draft",
      ),
    ],
    [
      "nor can a dflash head",
      { draft: dflash() },
      refuse(
        "aborts",
        "the draft is a dflash head, which cannot draft on its own",
        "set draft.type: draft-dflash, or use a whole model as the draft",
      ),
    ],
    ["a draft of any other architecture can", { draft: head("gemma") }, on()],
    ["… and one that does not say its architecture", { draft: { "general.architecture": 7 } }, on()],
    [
      "a draft with a NextN layer is a plain draft, too",
      { draft: { ...declared, "llama.embedding_length": 32 }, draftTensors: [nextn] },
      on(),
    ],
  ])("%s", async (_, question, verdict) => {
    expect(await decide(question)).toStrictEqual(verdict);
  });
});

describe("models that llama.cpp cannot load", () => {
  test.each<[string, Question, DraftVerdict]>([
    [
      "a broken draft",
      { draft: shortList },
      refuse("exits", `llama.cpp cannot load the draft: ${shortListProblem}`, "use another file of the draft"),
    ],
    [
      "a broken target comes first",
      { target: noTokens, draft: shortList },
      refuse("exits", `llama.cpp cannot load the target: ${noTokensProblem}`, "use another file of the target"),
    ],
    [
      "older builds do not detect a short list, and read past its end",
      { draft: shortList, rule: "translate" },
      refuse(
        "drafts",
        `the draft is broken, and this build does not detect it: ${shortListProblem}`,
        "use another file of the draft",
      ),
    ],
    [
      "they do detect other faults",
      { target: { ...shortList, ...noTokens }, rule: "refuse" },
      refuse("exits", `llama.cpp cannot load the target: ${noTokensProblem}`, "use another file of the target"),
    ],
    ["newer builds load a target without its NextN layers", { target: declared }, on()],
    ["… and a draft", { draft: declared }, on()],
    [
      "older builds do not",
      { target: declared, rule: "translate" },
      refuse(
        "exits",
        "llama.cpp cannot load the target: it declares 1 NextN (MTP) layer(s) whose tensors it lacks",
        "use another file of the target",
      ),
    ],
    ["they load one with the tensors", { target: declared, targetTensors: [nextn], rule: "translate" }, on()],
    ["… and one that declares no layer", { targetTensors: [nextn], rule: "translate" }, on()],
  ])("%s", async (_, question, verdict) => {
    expect(await decide(question)).toStrictEqual(verdict);
  });

  test.each(Object.keys(draftingTypes))("a broken target is refused for %s", async (type) => {
    expect(await decide({ type, target: noTokens, draft: "none" })).toStrictEqual(
      refuse("exits", `llama.cpp cannot load the target: ${noTokensProblem}`, "use another file of the target"),
    );
  });

  test.each(Object.entries(draftingTypes).filter(([, { source }]) => source !== "ngram"))(
    "a broken draft is refused for %s",
    async (type) => {
      expect(await decide({ type, draft: noTokens })).toStrictEqual(
        refuse("exits", `llama.cpp cannot load the draft: ${noTokensProblem}`, "use another file of the draft"),
      );
    },
  );
});

describe("draft-mtp", () => {
  const toSimple = "use draft.type: draft-simple with a draft model";
  const withTensors = "use a file with the NextN tensors, or set draft.model to the MTP head";
  const declaredTwo = { "llama.nextn_predict_layers": 2 };
  const ownHead = { draft: declared, draftTensors: [nextn] };
  test.each<[string, Pair, DraftVerdict]>([
    ["drafts with the target's own NextN layer", { draft: "none", target: declared, targetTensors: [nextn] }, on()],
    [
      "needs such a layer",
      { draft: "none", targetTensors: [nextn] },
      refuse("exits", "the target has no NextN (MTP) layer to draft with", toSimple),
    ],
    [
      "needs its tensors",
      { draft: "none", target: declaredTwo },
      refuse("aborts", "the target declares 2 NextN (MTP) layer(s), but its file lacks their tensors", withTensors),
    ],
    ["drafts with a head in a file of its own", ownHead, on()],
    [
      "does not take the target's layer when there is a draft",
      { target: declared, targetTensors: [nextn] },
      refuse("exits", "the draft has no NextN (MTP) layer to draft with", toSimple),
    ],
    [
      "needs the tensors of the draft's layer",
      { draft: declared, target: declared, targetTensors: [nextn] },
      refuse("aborts", "the draft declares 1 NextN (MTP) layer(s), but its file lacks their tensors", withTensors),
    ],
    [
      "needs a head of the target's width",
      { draft: { ...declared, "llama.embedding_length": 32 }, draftTensors: [nextn] },
      refuse(
        "aborts",
        "the draft's NextN layer does not fit this target: its width differs (target 64, draft 32)",
        "use draft.type: draft-simple, or remove draft.model to draft with the target's own NextN layer",
      ),
    ],
    [
      "compares the width of what the models put out",
      { draft: { ...declared, "llama.embedding_length": 32, "llama.embedding_length_out": 64 }, draftTensors: [nextn] },
      on(),
    ],
    [
      "needs a head of the target's vocabulary size",
      { draft: { ...declared, ...vocabulary(33) }, draftTensors: [nextn] },
      refuse("breaks-requests", sizeFault(32, 33), sameSize),
    ],
    [
      "takes a head whose tokens have other texts: it gets ids",
      { draft: { ...declared, ...vocabulary(32, { 9: "other" }) }, draftTensors: [nextn] },
      on(),
    ],
  ])("%s", async (_, pair, verdict) => {
    expect(await decide({ type: "draft-mtp", ...pair })).toStrictEqual(verdict);
  });
});

describe("heads made for one target", () => {
  const trained = (architecture: string) => `use an ${architecture} head that was trained for this target`;
  test.each<[string, string, Pair, DraftVerdict]>([
    ["draft-eagle3", "drafts for a target of its width and depth", { draft: eagle() }, on()],
    [
      "draft-eagle3",
      "does not draft for another width",
      { draft: eagle({ "eagle3.target_hidden_size": 128, "eagle3.embedding_length": 64 }) },
      refuse("aborts", "the draft is made for a target of width 128; this target has width 64", trained("eagle3")),
    ],
    [
      "draft-eagle3",
      "does not read more layers than the target has",
      { draft: eagle({ "eagle3.target_layers": [3, 0, 1] }) },
      refuse("aborts", "the draft reads layer 3 of its target; this target has 2 layers", trained("eagle3")),
    ],
    [
      "draft-eagle3",
      "does not read NextN layers",
      {
        target: { ...declared, "llama.block_count": 3 },
        targetTensors: [nextn],
        draft: eagle({ "eagle3.target_layers": [0, 3] }),
      },
      refuse("aborts", "the draft reads layer 3 of its target; this target has 2 layers", trained("eagle3")),
    ],
    [
      "draft-eagle3",
      "reads the last layer before a NextN layer",
      {
        target: { ...declared, "llama.block_count": 3 },
        targetTensors: [nextn],
        draft: eagle({ "eagle3.target_layers": [0, 2] }),
      },
      on(),
    ],
    [
      "draft-eagle3",
      "may not say which layers it reads",
      { draft: head("eagle3", { "eagle3.target_hidden_size": 64 }) },
      on(),
    ],
    [
      "draft-eagle3",
      "is not refused for a target that does not say how many layers it has",
      { target: head("gemma", { "gemma.embedding_length": 64 }), draft: eagle() },
      on(),
    ],
    [
      "draft-eagle3",
      "serves without a draft model",
      { draft: "none" },
      off("serves-without-drafting", "drafting type draft-eagle3 needs a draft model", "set draft.model"),
    ],
    [
      "draft-eagle3",
      "serves with a whole model in the head's place",
      {},
      off(
        "serves-without-drafting",
        "drafting type draft-eagle3 needs a draft of architecture eagle3; this one has architecture llama",
        trained("eagle3"),
      ),
    ],
    ...["draft-dflash", "draft-dspark"].flatMap((type): [string, string, Pair, DraftVerdict][] => [
      [type, "drafts for a target of its own width", { draft: dflash() }, on()],
      [
        type,
        "does not draft for another width",
        { draft: dflash(), target: { "llama.embedding_length": 96 } },
        refuse("aborts", "the draft is made for a target of width 64; this target has width 96", trained("dflash")),
      ],
      [
        type,
        "serves without a draft model",
        { draft: "none" },
        off("serves-without-drafting", `drafting type ${type} needs a draft model`, "set draft.model"),
      ],
      [
        type,
        "aborts with a head of another kind",
        { draft: eagle() },
        refuse(
          "aborts",
          `drafting type ${type} needs a draft of architecture dflash; this one has architecture eagle3`,
          trained("dflash"),
        ),
      ],
    ]),
  ])("%s %s", async (type, _, pair, verdict) => {
    expect(await decide({ type, ...pair })).toStrictEqual(verdict);
  });
});

describe("types that came with the builds that compare strictly", () => {
  const later = Object.entries(draftingTypes).filter(([, { source }]) => source === "head" || source === "nextn");
  test.each(later.flatMap(([type]) => (["translate", "refuse"] as const).map((rule) => [type, rule] as const)))(
    "%s does not exist on builds with the rule %s",
    async (type, rule) => {
      expect(await decide({ type, rule, draft: "none" })).toStrictEqual(noSuchType(type));
    },
  );
});

describe("types without a model", () => {
  const ngrams = Object.keys(draftingTypes).filter((type) => type.startsWith("ngram-"));
  test.each([...ngrams, "ngram-unheard-of"])("%s drafts alone, on every build", async (type) => {
    for (const rule of ["strict", "translate", "refuse"] as const)
      expect(await decide({ type, rule, draft: "none" })).toStrictEqual(on());
  });

  test("a draft model beside n-grams alone is never used, whatever it is", async () => {
    const idle = (type: string) => on(`the draft model is never used: drafting type "${type}" needs no draft model`);
    expect(await decide({ type: "ngram-mod,ngram-cache" })).toStrictEqual(idle("ngram-mod,ngram-cache"));
    expect(await decide({ type: "ngram-mod", draft: noTokens })).toStrictEqual(idle("ngram-mod"));
  });

  test("none is off", async () => {
    const verdict = off(
      "serves-without-drafting",
      'the drafting type is "none"',
      "set draft.type, or remove draft from the profile",
    );
    expect(await decide({ type: "none", draft: "none" })).toStrictEqual(verdict);
    expect(await decide({ type: "none" })).toStrictEqual(verdict);
  });

  test.each(["draft-new", "constructor"])("an unknown type, %s, is not judged, and a warning says so", async (type) => {
    const verdict = on(`llmctl does not know the drafting type "${type}"; the models were not compared`);
    expect(await decide({ type, ...otherToken })).toStrictEqual(verdict);
    expect(await decide({ type, draft: "none" })).toStrictEqual(verdict);
  });
});

describe("several types", () => {
  const mtp = refuse(
    "exits",
    "the draft has no NextN (MTP) layer to draft with",
    "use draft.type: draft-simple with a draft model",
  );
  const simple = off("serves-without-drafting", tokenNine, sameTokenizer, { firstDifference });
  test.each<[string, string, Pair, DraftVerdict]>([
    ["all of them draft", "ngram-mod,draft-simple", {}, on()],
    ["one of them is off", "ngram-mod,draft-simple", otherToken, simple],
    ["… wherever it stands", "draft-simple,ngram-mod", otherToken, simple],
    ["refuse outranks on", "draft-simple,draft-mtp", {}, mtp],
    ["refuse outranks off", "draft-eagle3,draft-mtp", {}, mtp],
    ["… wherever it stands", "draft-mtp,draft-eagle3", {}, mtp],
    [
      "of two that are refused, the first is named",
      "draft-dflash,draft-mtp",
      {},
      refuse(
        "aborts",
        "drafting type draft-dflash needs a draft of architecture dflash; this one has architecture llama",
        "use an dflash head that was trained for this target",
      ),
    ],
    ["a space after the comma means nothing", "ngram-mod, draft-simple", otherToken, simple],
    [
      "the warnings of all of them are told, each once",
      "draft-new,draft-simple,draft-simple,draft-new",
      { draft: { "tokenizer.ggml.eom_token_id": 4 } },
      on(
        'llmctl does not know the drafting type "draft-new"; the models were not compared',
        "the eom tokens differ (target none, draft 4)",
      ),
    ],
    [
      "… also beside one that is refused",
      "draft-simple,draft-mtp",
      { draft: { "tokenizer.ggml.eom_token_id": 4 } },
      { ...mtp, warnings: ["the eom tokens differ (target none, draft 4)"] },
    ],
  ])("%s: %s", async (_, type, pair, verdict) => {
    expect(await decide({ type, ...pair })).toStrictEqual(verdict);
  });
});

describe("real files", () => {
  const demo = (name: string): string => fileURLToPath(new URL(`../../../../models/${name}.gguf`, import.meta.url));

  test("the demo pair drafts on every build, without a warning", async () => {
    const models = { target: await readModel(demo("demo-target")), draft: await readModel(demo("demo-draft")) };
    for (const rule of ["strict", "translate", "refuse"] as const)
      expect(decideDraft({ ...models, type: "draft-simple", rule })).toStrictEqual(on());
  });

  test("a single token edited in the demo draft is found", async () => {
    const tokens = findArray((await readModel(demo("demo-draft"))).header, "tokenizer.ggml.tokens");
    const edited = tokens === undefined ? [] : decodeTexts(tokens).with(639, "edited");
    const draft = await editGguf(await readFile(demo("demo-draft")), (metadata) => {
      metadata["tokenizer.ggml.tokens"] = edited;
    });
    const models = { target: await readModel(demo("demo-target")), draft: await modelFrom(draft) };
    expect(decideDraft({ ...models, type: "draft-simple", rule: "strict" })).toStrictEqual(
      off("serves-without-drafting", 'token 639 differs: target "Ot", draft "edited"', sameTokenizer, {
        firstDifference: { id: 639, target: "Ot", draft: "edited" },
      }),
    );
  });

  test("the byte order and version of the files do not matter", async () => {
    const tensors = (width: number) => [{ name: "token_embd.weight", ne: [width, 32] }];
    const target = await modelFrom({ metadata: modelKeys(), tensors: tensors(64), byteOrder: "big", version: 3 });
    const draft = await modelFrom({ metadata: modelKeys(), tensors: tensors(32), version: 1 });
    expect(decideDraft({ target, draft, type: "draft-simple", rule: "strict" })).toStrictEqual(on());
  });
});

test("the wanted context of the profile reaches the warnings", async () => {
  const models = {
    target: await modelFrom({ metadata: modelKeys(), tensors: [{ name: "a", ne: [2] }] }),
    draft: await modelFrom({ metadata: modelKeys({ "llama.context_length": 256 }), tensors: [{ name: "a", ne: [1] }] }),
  };
  const ask = (ctxSize: number) => decideDraft({ ...models, type: "draft-simple", rule: "strict", ctxSize }).warnings;
  expect(ask(256)).toStrictEqual([]);
  expect(ask(257)).toStrictEqual([expect.stringContaining("the context is 257")]);
});
