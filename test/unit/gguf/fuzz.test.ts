import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { bufferSource } from "../../../src/gguf/byte-source.ts";
import type { ByteSource } from "../../../src/gguf/byte-source.ts";
import { GgufError } from "../../../src/gguf/gguf-error.ts";
import { mostLayers, readModelFacts } from "../../../src/gguf/model-facts.ts";
import { limits } from "../../../src/gguf/parse-header.ts";
import { readHeaderFrom } from "../../../src/gguf/read-header.ts";
import { decideDraft } from "../../../src/llama/draft-gate.ts";
import { buildGguf, modelFrom, modelKeys } from "../../support/gguf-builder.ts";

const mutations = 200_000;

/** Around the sizes at which the reader's window grows. */
const sizesBytes = [2 ** 17, 2 ** 24 + 1, 33 * 2 ** 20, 65 * 2 ** 20];

/** Mulberry32: a small generator with a seed, so that a failure can be had again. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Values that lengths, counts and types are most likely to be handled wrongly at. */
const edges = [0, 1, 7, 8, 9, 12, 13, 127, 128, 255, 256, 65_535, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];

function mutate(original: Buffer, below: (limit: number) => number): Buffer {
  const bytes = Buffer.from(original);
  for (let change = below(4); change >= 0; change -= 1) {
    const at = below(bytes.length);
    switch (below(4)) {
      case 0:
        bytes[at] = below(256);
        break;
      case 1:
        if (at + 4 <= bytes.length) bytes.writeUInt32LE(edges[below(edges.length)] ?? 0, at);
        break;
      case 2:
        if (at + 8 <= bytes.length) bytes.writeBigUInt64BE(BigInt(edges[below(edges.length)] ?? 0) << BigInt(below(33)), at);
        break;
      default:
        bytes.copyWithin(at, below(bytes.length), below(bytes.length));
    }
  }
  return below(4) === 0 ? bytes.subarray(0, below(bytes.length + 1)) : bytes;
}

/** The most memory that reading a header may take, for a file of this size. */
function mostBytes(sizeBytes: number): number {
  return 4 * sizeBytes + 16 * 2 ** 20;
}

/** Bytes in memory that object to any read outside them, and to memory set aside that they do not warrant. */
function strictSource(bytes: Uint8Array): ByteSource {
  const buffers = new Set<ArrayBufferLike>();
  let allocated = 0;
  return {
    name: "model.gguf",
    sizeBytes: bytes.length,
    read: (offset, into) => {
      if (offset < 0 || offset + into.length > bytes.length)
        return Promise.reject(new Error(`read of ${offset}+${into.length} past ${bytes.length}`));
      if (!buffers.has(into.buffer)) allocated += into.buffer.byteLength;
      buffers.add(into.buffer);
      if (allocated > mostBytes(bytes.length)) return Promise.reject(new Error(`${allocated} bytes set aside for ${bytes.length}`));
      into.set(bytes.subarray(offset, offset + into.length));
      return Promise.resolve();
    },
  };
}

const tokens = ["<s>", "", "a", "bc", "x".repeat(260), "d"];
const seeds = ([1, 2, 3] as const).flatMap((version) =>
  (["little", "big"] as const).map((byteOrder) =>
    buildGguf({
      version,
      byteOrder,
      metadata: modelKeys({
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [1, 1, 1, 1, 1, 1],
        nested: { type: "array", elementType: "array", values: [{ type: "array", elementType: "uint8", values: [1, 2] }] },
        wide: { type: "uint64", value: 5 },
      }),
      tensors: [
        { name: "token_embd.weight", ne: [4, 2] },
        { name: "blk.0.nextn.eh_proj.weight", ne: [32], type: 8, data: Buffer.alloc(34) },
      ],
    }),
  ),
);

const whole = await modelFrom(seeds[4] ?? Buffer.alloc(0));
const types = ["draft-simple", "draft-simple", "draft-mtp", "draft-eagle3", "draft-dflash"];

describe("mutated headers", () => {
  test(
    `${mutations} of them are read, or refused with a typed error; none is read past its end or into more memory than it warrants`,
    { timeout: 120_000 },
    async () => {
      const below = generator(20_260_928);
      const outcomes = new Map<string, number>();
      for (let run = 0; run < mutations; run += 1) {
        const outcome = await tryModel(mutate(seeds[run % seeds.length] ?? Buffer.alloc(0), below), run);
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }
      // The mutations must reach deep: were they all refused at the magic, the test would show nothing.
      expect([...outcomes.keys()].toSorted()).toEqual(["limit-exceeded", "not-gguf", "read", "truncated", "unsupported-version"]);
      expect(Math.min(...outcomes.values())).toBeGreaterThan(100);
    },
  );
});

describe("memory", () => {
  test.each(sizesBytes)("a header of %i bytes is read into no more than four times that, and 16 MB", { timeout: 60_000 }, async (size) => {
    const header = await readHeaderFrom(strictSource(buildGguf({ metadata: { filler: "x".repeat(size) } })));
    expect(header.sizeBytes).toBeGreaterThan(size);
  });

  test("the most keys and tensors that are permitted, each as small as can be, take no more than four times the file, and 16 MB", async () => {
    const name = (index: number) => index.toString(36);
    const bytes = buildGguf({
      metadata: Object.fromEntries(Array.from({ length: limits.keys }, (_, index) => [`k${name(index)}`, { type: "uint8", value: 1 }])),
      tensors: Array.from({ length: limits.tensors }, (_, index) => ({ name: name(index), ne: [], data: new Uint8Array(0), type: 200 })),
    });
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    collect();
    const before = process.memoryUsage();
    const header = await readHeaderFrom(bufferSource(bytes, "model.gguf"));
    collect();
    const after = process.memoryUsage();
    expect(header.tensors).toHaveLength(limits.tensors);
    expect(after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers).toBeLessThan(mostBytes(bytes.length));
  });

  test("a list that is longer than any model has layers is not decoded", async () => {
    const heads = (count: number) =>
      modelFrom({ metadata: modelKeys({ "llama.attention.head_count": Array.from({ length: count }, () => 8) }) });
    expect(readModelFacts(await heads(mostLayers)).heads).toBe(8);
    expect(readModelFacts(await heads(mostLayers + 1)).heads).toBeUndefined();
  });
});

/** Reads a mutated header and asks everything of it; @returns `read`, or the code of the error. */
async function tryModel(bytes: Buffer, run: number): Promise<string> {
  try {
    const header = await readHeaderFrom(strictSource(bytes));
    const model = { header, shards: [header] };
    readModelFacts(model);
    decideDraft({ target: model, draft: whole, type: types[run % types.length] ?? "", rule: "strict" });
    return "read";
  } catch (error) {
    if (error instanceof GgufError) return error.code;
    throw new Error(`mutation ${run} threw no GgufError`, { cause: error });
  }
}
