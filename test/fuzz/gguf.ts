import { isDeepStrictEqual } from "node:util";
import { gguf } from "@huggingface/gguf";
import type { ByteSource } from "../../src/gguf/byte-source.ts";
import { Cursor, NeedMoreBytes, type ReadProgress } from "../../src/gguf/cursor.ts";
import { bigintTypes, decodeNumbers, decodeTexts, type GgufArray } from "../../src/gguf/gguf-array.ts";
import { GgufError } from "../../src/gguf/gguf-error.ts";
import type { GgufHeader, GgufValue } from "../../src/gguf/gguf-header.ts";
import { limits } from "../../src/gguf/limits.ts";
import { readModelFacts } from "../../src/gguf/model-facts.ts";
import { HeaderParser } from "../../src/gguf/parse-header.ts";
import { readHeaderFrom } from "../../src/gguf/read-header.ts";
import type { GgufModel } from "../../src/gguf/read-model.ts";
import { decideDraft } from "../../src/llama/draft/draft-gate.ts";
import { buildGguf, modelFrom, modelKeys } from "../support/gguf-builder.ts";
import type { Fuzzer } from "./fuzzer.ts";
import { mutateBytes } from "./mutate.ts";
import { readPlainGguf } from "./plain-gguf.ts";
import type { Random } from "./random.ts";

const tokens = ["<s>", "", "a", "bc", "x".repeat(260), "d"];
const originals = ([1, 2, 3] as const).flatMap((version) =>
  (["little", "big"] as const).map((byteOrder) =>
    buildGguf({
      version,
      byteOrder,
      metadata: modelKeys({
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [1, 1, 1, 1, 1, 1],
        nested: {
          type: "array",
          elementType: "array",
          values: [{ type: "array", elementType: "uint8", values: [1, 2] }],
        },
        wide: { type: "uint64", value: 5 },
        flags: { type: "array", elementType: "bool", values: [true, false, true] },
        numbers: { type: "array", elementType: "uint64", values: [1n, 2n ** 40n] },
        half: { type: "float32", value: 0.5 },
        small: { type: "int16", value: -2 },
        flag: true,
      }),
      tensors: [
        { name: "token_embd.weight", ne: [4, 2] },
        { name: "blk.0.nextn.eh_proj.weight", ne: [32], type: 8, data: Buffer.alloc(34) },
      ],
    }),
  ),
);
const types = ["draft-simple", "draft-mtp", "draft-eagle3", "draft-dflash"];

/**
 * Headers of models. Each is read, and compared with what a plain reader finds in the same bytes. Some are also read
 * through a window that grows by a few bytes, and by `@huggingface/gguf`, asked for all facts that llmctl uses, and
 * compared as a draft.
 */
export const ggufFuzzer: Fuzzer = {
  name: "gguf",
  counts: { short: 20_000, full: 1_000_000 },
  outcomes: ["read", "limit-exceeded", "not-gguf", "truncated", "unsupported-version"],
  open: async () => {
    const whole = await modelFrom(originals[4] ?? Buffer.alloc(0));
    return {
      attempt: async (random: Random) => {
        const bytes = mutateBytes(random.pick(originals), random);
        const read = await tryRead(bytes);
        if (random.oneIn(100)) expectSame("a growing window", read, readInSteps(bytes, random));
        const header = typeof read === "string" ? undefined : read;
        // Three of four inputs are refused: some of them are enough.
        if (header !== undefined || random.oneIn(3))
          expectSame("a plain reader", header && showHeader(header), readPlainGguf(bytes));
        if (header === undefined) return read as string;
        if (random.oneIn(100)) await compareWithLibrary(header, bytes);
        return random.oneIn(3) ? tryUse(header, { draft: whole, type: random.pick(types) }) : "read";
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  },
};

/** The header, or the code of the error. */
async function tryRead(bytes: Uint8Array): Promise<GgufHeader | GgufError["code"]> {
  return readHeaderFrom(strictSource(bytes)).catch(codeOf);
}

function codeOf(error: unknown): GgufError["code"] {
  if (error instanceof GgufError) return error.code;
  throw error;
}

function tryUse(header: GgufHeader, as: { readonly draft: GgufModel; readonly type: string }): string {
  try {
    const target = { header, shards: [header] };
    readModelFacts(target);
    decideDraft({ ...as, target, rule: "strict" });
    return "read";
  } catch (error) {
    return codeOf(error);
  }
}

function expectSame(what: string, found: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(found, expected))
    throw new Error(`${what} finds something else`, { cause: { found, expected } });
}

/** A header as {@link readPlainGguf} gives it. */
function showHeader({ version, byteOrder, metadata, tensors, dataOffset }: GgufHeader) {
  return {
    version,
    byteOrder,
    metadata: [...metadata].map(([key, value]) => [key, value.type, showValue(value)] as const),
    tensors,
    dataOffset,
  };
}

function showValue(value: GgufValue): unknown {
  return value.type === "array" ? { elementType: value.elementType, values: showElements(value) } : value.value;
}

/** llmctl never decodes arrays in arrays: they stay bytes. */
function showElements(array: GgufArray): unknown {
  const { elementType, bytes, count, littleEndian } = array;
  if (elementType === "array") return Buffer.from(bytes);
  if (elementType === "string") return decodeTexts(array);
  if (elementType === "bool") return decodeNumbers(array)?.map(Boolean);
  if (elementType !== "uint64" && elementType !== "int64") return decodeNumbers(array);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { get } = bigintTypes[elementType];
  return Array.from({ length: count }, (_, index) => get(view, 8 * index, littleEndian));
}

/** As `readHeaderFrom`, but the window grows by a few bytes, and is sometimes moved, as if it had become too small. */
function readInSteps(bytes: Uint8Array, random: Random): GgufHeader | GgufError["code"] {
  const parser = new HeaderParser();
  const progress: ReadProgress = new Map();
  let window = bytes;
  for (let end = 0; ;) {
    try {
      return parser.parse(
        new Cursor({
          name: "model.gguf",
          sizeBytes: bytes.length,
          bytes: window.subarray(0, end),
          progress,
          budget: limits,
        }),
      );
    } catch (error) {
      if (!(error instanceof NeedMoreBytes)) return codeOf(error);
      if (error.end <= end || error.end > bytes.length) throw new Error(`bytes up to ${error.end} are asked for`);
      end = Math.min(bytes.length, error.end + random.below(20));
      if (random.oneIn(8)) {
        window = Uint8Array.from(bytes);
        parser.restart();
      }
    }
  }
}

/** The library of Hugging Face accepts more files than llmctl does, but finds the same values in those of both. */
async function compareWithLibrary(header: GgufHeader, bytes: Uint8Array): Promise<void> {
  const answer = () => Promise.resolve(new Response(bytes));
  const { metadata, tensorInfos, tensorDataOffset } = await gguf("http://localhost/model.gguf", { fetch: answer });
  const values = new Map<string, unknown>(Object.entries(metadata));
  for (const [key, value] of header.metadata) {
    if (value.type !== "array") expectSame(`@huggingface/gguf in ${key}`, value.value, values.get(key));
    else if (value.elementType !== "array")
      expectSame(`@huggingface/gguf in ${key}`, showElements(value), values.get(key));
  }
  const tensors = tensorInfos.map(({ name, shape, dtype, offset }) => ({
    name,
    ne: shape.map(Number),
    type: dtype as number,
    offset: Number(offset),
  }));
  expectSame("@huggingface/gguf", header.tensors, tensors);
  if (tensors.length > 0) expectSame("@huggingface/gguf", header.dataOffset, Number(tensorDataOffset));
}

/** The most memory that reading the header of a file of this size may take. */
export function mostBytes(sizeBytes: number): number {
  return 4 * sizeBytes + 16 * 2 ** 20;
}

/**
 * Bytes in memory that reject reads outside of them, and allocations that are too large for them.
 * @param sizeBytes Larger than the bytes when zeros follow them.
 */
export function strictSource(bytes: Uint8Array, sizeBytes = bytes.length): ByteSource {
  const buffers = new Set<ArrayBufferLike>();
  let allocated = 0;
  return {
    name: "model.gguf",
    sizeBytes,
    read: (offset, into) => {
      if (offset < 0 || offset + into.length > sizeBytes)
        return Promise.reject(new Error(`read of ${offset}+${into.length} past ${sizeBytes}`));
      if (!buffers.has(into.buffer)) allocated += into.buffer.byteLength;
      buffers.add(into.buffer);
      if (allocated > mostBytes(sizeBytes))
        return Promise.reject(new Error(`${allocated} bytes allocated for ${sizeBytes}`));
      into.set(bytes.subarray(offset, offset + into.length));
      return Promise.resolve();
    },
  };
}
