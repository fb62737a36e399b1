import { fileURLToPath } from "node:url";
import { readHeader } from "../../src/gguf/read-header.ts";
import type { Part } from "../support/gguf-builder.ts";
import { buildTinyModel, countTokens, findWord, readVocab, tokenTexts } from "../support/tiny-body.ts";
import type { KeyEdits, TinyBody, Vocab } from "../support/tiny-body.ts";

/** A model of a pair: a file, or bytes to be written to one, which is kept for other pairs where it has a key. */
export type PairModel = { readonly path: string } | { readonly key: string | undefined; readonly build: () => Buffer };

/** Two models to be compared. */
export interface Pair {
  readonly name: string;
  readonly type: string;
  /** Not for older builds: their behaviour differs from run to run. */
  readonly isNewOnly?: true;
  readonly target: PairModel;
  readonly draft?: PairModel;
}

const demo = {
  target: fileURLToPath(new URL("../../models/demo-target.gguf", import.meta.url)),
  draft: fileURLToPath(new URL("../../models/demo-draft.gguf", import.meta.url)),
};

const tokenizer = (key: string): string => `tokenizer.ggml.${key}`;

/** A tiny model with this vocabulary, which generates a plain word by default. */
function tiny(vocab: Vocab, body: Partial<TinyBody> = {}, key?: string): PairModel {
  return { key, build: () => buildTinyModel(vocab, { says: findWord(vocab), ...body }) };
}

/** Pairs that are made of the demo models' vocabulary: small and quick. */
export async function demoPairs(): Promise<Pair[]> {
  const vocab = readVocab(await readHeader(demo.draft));
  const model = tiny(vocab, {}, "demo");
  const edited = (name: string, keys: KeyEdits, body: Partial<TinyBody> = {}): Pair => {
    return { name, type: "draft-simple", target: { path: demo.target }, draft: tiny(vocab, { ...body, keys }) };
  };
  return [
    { name: "demo pair", type: "draft-simple", target: { path: demo.target }, draft: { path: demo.draft } },
    { name: "demo target with a tiny body", type: "draft-simple", target: { path: demo.target }, draft: model },
    ...tokenEdits(vocab).map(([name, keys]) => edited(name, keys)),
    ...sizePairs(vocab, { path: demo.target }),
    ...roleEdits(vocab).map(([name, keys]) => edited(name, keys)),
    ...otherEdits(vocab).map(([name, keys]) => edited(name, keys)),
    // Older builds read past the end of these lists.
    ...shortLists.map(([name, keys]) => ({ ...edited(name, keys), isNewOnly: true as const })),
    ...bothEdits.map(([name, ours, theirs]) => ({
      name,
      type: "draft-simple",
      target: tiny(vocab, { keys: ours }),
      draft: tiny(vocab, { keys: theirs }),
    })),
    ...typePairs(vocab, model),
    ...nextnPairs(vocab, model),
  ];
}

/** Every two of these vocabularies in one order; each of them with itself; and edits of some. */
export function vocabPairs(vocabs: ReadonlyMap<string, Vocab>, edited: readonly string[]): Pair[] {
  const all = [...vocabs].flatMap((one, index, list) =>
    list.slice(index).map((other, distance) => (distance % 2 === 0 ? vocabPair(one, other) : vocabPair(other, one))),
  );
  const edits = edited.flatMap((name) => {
    const vocab = vocabs.get(name);
    if (vocab === undefined) throw new Error(`there is no vocabulary "${name}"`);
    const target = tiny(vocab, {}, `vocab-${name}`);
    const single = [...tokenEdits(vocab), ...roleEdits(vocab)].map(([edit, keys]) => {
      return { name: edit, type: "draft-simple", target, draft: tiny(vocab, { keys }) };
    });
    return [...single, ...sizePairs(vocab, target)].map((pair) => ({ ...pair, name: `${name}: ${pair.name}` }));
  });
  return [...all, ...edits];
}

function vocabPair([ours, target]: readonly [string, Vocab], [theirs, draft]: readonly [string, Vocab]): Pair {
  const [many, few] = [countTokens(target), countTokens(draft)];
  return {
    name: `${ours} with ${theirs}`,
    type: "draft-simple",
    target: unequal(ours, target, many, few),
    draft: unequal(theirs, draft, few, many),
  };
}

/** The larger model of a pair that passes llama.cpp's check generates its last token, which the other lacks. */
function unequal(name: string, vocab: Vocab, count: number, other: number): PairModel {
  return count > other && count <= other + 128 ? tiny(vocab, { says: count - 1 }) : tiny(vocab, {}, `vocab-${name}`);
}

type Edit = readonly [name: string, keys: KeyEdits];

function tokenEdits(vocab: Vocab): Edit[] {
  const texts = tokenTexts(vocab);
  const edit = (id: number, text: string): KeyEdits => ({ [tokenizer("tokens")]: texts.with(id, text) });
  const last = texts.length - 1;
  const middle = findWord(vocab, texts.length >> 1);
  return [
    ...[0, 1, 2, 3, 4, 5, 6, middle, last - 1, last].map(
      (id) => [`token ${id} edited`, edit(id, "<|another|>")] as const,
    ),
    [`token ${middle} longer behind a NUL`, edit(middle, `${texts[middle]}\0more`)],
    [`token ${middle} empty`, edit(middle, "")],
  ];
}

/** The larger model of a pair generates its last token, which the other lacks. */
function sizePairs(vocab: Vocab, same: PairModel): Pair[] {
  const count = countTokens(vocab);
  return [1, 127, 128, 129].flatMap((difference) => {
    const larger = tiny(vocab, { keys: resized(vocab, count + difference), says: count + difference - 1 });
    return [
      { name: `draft larger by ${difference}`, type: "draft-simple", target: same, draft: larger },
      { name: `target larger by ${difference}`, type: "draft-simple", target: larger, draft: same },
    ];
  });
}

function resized(vocab: Vocab, count: number): Record<string, Part> {
  const texts = tokenTexts(vocab);
  const keys: Record<string, Part> = {
    [tokenizer("tokens")]: Array.from({ length: count }, (_, id) => texts[id] ?? `<|extra${id}|>`),
    [tokenizer("token_type")]: Array.from({ length: count }, () => 1),
  };
  if (vocab[tokenizer("scores")] === undefined) return keys;
  return {
    ...keys,
    [tokenizer("scores")]: { type: "array", elementType: "float32", values: Array.from({ length: count }, () => 0) },
  };
}

const absent = (...keys: string[]): KeyEdits => Object.fromEntries(keys.map((key) => [tokenizer(key), undefined]));

/** Which tokens begin and end a text, and which of them are added. */
function roleEdits(vocab: Vocab): Edit[] {
  const count = countTokens(vocab);
  return [
    ["add_bos on", { [tokenizer("add_bos_token")]: true }],
    ["add_bos off", { [tokenizer("add_bos_token")]: false }],
    ["add_eos on", { [tokenizer("add_eos_token")]: true }],
    ["add_eos off", { [tokenizer("add_eos_token")]: false }],
    ["another bos", { [tokenizer("bos_token_id")]: 7 }],
    ["another eos", { [tokenizer("eos_token_id")]: 7 }],
    ["bos outside the vocabulary", { [tokenizer("bos_token_id")]: count }],
    ["bos as a signed number", { [tokenizer("bos_token_id")]: { type: "int32", value: 0 } }],
    ["padding as a signed number", { [tokenizer("padding_token_id")]: { type: "int32", value: 0 } }],
    ["add_bos as a number", { [tokenizer("add_bos_token")]: 1 }],
    ["no bos keys", absent("bos_token_id", "add_bos_token")],
    ["no eos keys", absent("eos_token_id", "add_eos_token")],
    ["no bos and no eos keys", absent("bos_token_id", "add_bos_token", "eos_token_id", "add_eos_token")],
    ["no pre-tokenizer", absent("pre")],
    ["pre-tokenizer llama-bpe, no add_bos", { ...absent("add_bos_token"), [tokenizer("pre")]: "llama-bpe" }],
    ["pre-tokenizer glm4, no bos keys", { ...absent("add_bos_token", "bos_token_id"), [tokenizer("pre")]: "glm4" }],
  ];
}

/** Other kinds of vocabulary made of the same tokens, and keys that are absent or of a wrong type. */
function otherEdits(vocab: Vocab): Edit[] {
  const count = countTokens(vocab);
  const scores = {
    type: "array",
    elementType: "float32",
    values: Array.from({ length: count }, () => 0),
  } as const satisfies Part;
  return [
    ["no merges", absent("merges")],
    ["no token types", absent("token_type")],
    [
      "unsigned token types",
      { [tokenizer("token_type")]: { type: "array", elementType: "uint32", values: scores.values.map(() => 1) } },
    ],
    ["scores of 64 bits", { [tokenizer("scores")]: { ...scores, elementType: "float64" } }],
    ["scores as whole numbers", { [tokenizer("scores")]: { ...scores, elementType: "int32" } }],
    ["no tokens", absent("tokens")],
    ["no tokenizer", absent("model")],
    ["as SPM", { [tokenizer("model")]: "llama", [tokenizer("scores")]: scores }],
    ["as SPM without scores", { ...absent("scores"), [tokenizer("model")]: "llama" }],
    ["as WPM", { [tokenizer("model")]: "bert" }],
    ["as UGM", { [tokenizer("model")]: "t5", [tokenizer("scores")]: scores }],
    ["without a vocabulary", { ...absent("tokens"), [tokenizer("model")]: "no_vocab", "llama.vocab_size": count }],
  ];
}

const shortLists: readonly Edit[] = [
  ["too few token types", { [tokenizer("token_type")]: [1, 1] }],
  ["too few scores", { [tokenizer("scores")]: { type: "array", elementType: "float32", values: [0] } }],
];

const bos = (id: number, isAdded?: boolean): KeyEdits => ({
  [tokenizer("bos_token_id")]: id,
  [tokenizer("add_bos_token")]: isAdded,
});

/** Edits of the target and of the draft. */
const bothEdits: readonly (readonly [name: string, target: KeyEdits, draft: KeyEdits])[] = [
  ["both add the same bos", bos(7, true), bos(7, true)],
  ["both add bos, another one each", bos(7, true), bos(8, true)],
  ["neither adds bos, another one each", bos(7, false), bos(8, false)],
  ["add_bos said by one, derived by the other", { [tokenizer("pre")]: "llama-bpe", ...bos(7) }, bos(7, true)],
  [
    "both add eos, another one each",
    { [tokenizer("eos_token_id")]: 7, [tokenizer("add_eos_token")]: true },
    { [tokenizer("eos_token_id")]: 8, [tokenizer("add_eos_token")]: true },
  ],
];

/** Drafting types other than draft-simple. */
function typePairs(vocab: Vocab, model: PairModel): Pair[] {
  const target = { path: demo.target };
  return [
    { name: "none", type: "none", target, draft: model },
    { name: "ngram-mod", type: "ngram-mod", target },
    { name: "ngram-mod, draft-simple", type: "ngram-mod,draft-simple", target, draft: model },
    {
      name: "ngram-mod, draft-simple with a mismatch",
      type: "ngram-mod,draft-simple",
      target,
      draft: tiny(vocab, { keys: resized(vocab, 900) }),
    },
    { name: "draft-simple without a draft", type: "draft-simple", target },
    { name: "draft-eagle3 with a whole model", type: "draft-eagle3", target, draft: model },
    { name: "draft-eagle3 without a draft", type: "draft-eagle3", target },
    { name: "draft-dflash with a whole model", type: "draft-dflash", target, draft: model },
    { name: "draft-mtp without a NextN layer", type: "draft-mtp", target },
    { name: "draft-mtp with a plain draft", type: "draft-mtp", target, draft: model },
  ];
}

function nextnPairs(vocab: Vocab, plain: PairModel): Pair[] {
  const glm = (nextn: TinyBody["nextn"] = "present", width = 32): PairModel =>
    tiny(vocab, { architecture: "glm4moe", nextn, width }, `glm-${nextn}-${width}`);
  return [
    { name: "a draft with a NextN layer, as a plain draft", type: "draft-simple", target: plain, draft: glm() },
    {
      name: "both with a NextN layer, of unequal width, as a plain draft",
      type: "draft-simple",
      target: glm("present", 64),
      draft: glm(),
    },
    {
      name: "a draft that only declares a NextN layer, as a plain draft",
      type: "draft-simple",
      target: plain,
      draft: glm("declared"),
    },
    { name: "a target's own NextN layer", type: "draft-mtp", target: glm() },
    { name: "a NextN layer that is only declared", type: "draft-mtp", target: glm("declared") },
    { name: "no NextN layer", type: "draft-mtp", target: glm("none") },
    { name: "a draft's NextN layer of the same width", type: "draft-mtp", target: glm("none"), draft: glm() },
    { name: "a draft's NextN layer of another width", type: "draft-mtp", target: glm("present", 64), draft: glm() },
  ];
}
