import type { GgufArray } from "../../src/gguf/gguf-array.ts";
import type { TokenizerFacts } from "../../src/gguf/tokenizer-facts.ts";

/** How a file writes the length before each text. */
interface TextLayout {
  readonly lengthBytes?: 4 | 8;
  readonly littleEndian?: boolean;
}

/** A list of texts as it is in a file. */
export function textArray(
  texts: readonly string[],
  { lengthBytes = 8, littleEndian = true }: TextLayout = {},
): GgufArray {
  const parts = texts.map((text) => {
    const bytes = Buffer.from(text);
    const length = Buffer.alloc(lengthBytes);
    const low = lengthBytes === 8 && !littleEndian ? 4 : 0;
    if (littleEndian) length.writeUInt32LE(bytes.length, low);
    else length.writeUInt32BE(bytes.length, low);
    return Buffer.concat([length, bytes]);
  });
  return {
    type: "array",
    elementType: "string",
    count: texts.length,
    bytes: Buffer.concat(parts),
    littleEndian,
    lengthBytes,
  };
}

/** A BPE vocabulary of 1000 tokens that adds neither bos nor eos; `changes` come last. */
export function tokenizer(changes: Partial<TokenizerFacts> = {}): TokenizerFacts {
  return {
    vocabType: "BPE",
    model: "gpt2",
    pre: "gpt-2",
    tokenCount: 1000,
    mergeCount: 0,
    tokens: undefined,
    merges: undefined,
    tokenTypes: undefined,
    addBos: false,
    addEos: false,
    bosId: 1,
    eosId: 2,
    eotId: undefined,
    eomId: undefined,
    fimIds: {},
    loadProblem: undefined,
    olderBuildsLoad: true,
    ...changes,
  };
}
