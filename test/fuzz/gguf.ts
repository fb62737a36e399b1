import type { ByteSource } from "../../src/gguf/byte-source.ts";
import { GgufError } from "../../src/gguf/gguf-error.ts";
import { readModelFacts } from "../../src/gguf/model-facts.ts";
import { readHeaderFrom } from "../../src/gguf/read-header.ts";
import { decideDraft } from "../../src/llama/draft/draft-gate.ts";
import { buildGguf, modelFrom, modelKeys } from "../support/gguf-builder.ts";
import type { Fuzzer } from "./fuzzer.ts";
import { mutateBytes } from "./mutate.ts";
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
      }),
      tensors: [
        { name: "token_embd.weight", ne: [4, 2] },
        { name: "blk.0.nextn.eh_proj.weight", ne: [32], type: 8, data: Buffer.alloc(34) },
      ],
    }),
  ),
);
const types = ["draft-simple", "draft-mtp", "draft-eagle3", "draft-dflash"];

/** Headers of models: each is read, asked for all facts that llmctl uses, and compared as a draft. */
export const ggufFuzzer: Fuzzer = {
  name: "gguf",
  counts: { short: 20_000, full: 1_000_000 },
  outcomes: ["read", "limit-exceeded", "not-gguf", "truncated", "unsupported-version"],
  open: async () => {
    const whole = await modelFrom(originals[4] ?? Buffer.alloc(0));
    return {
      attempt: async (random: Random) => {
        const bytes = mutateBytes(random.pick(originals), random);
        try {
          const header = await readHeaderFrom(strictSource(bytes));
          const model = { header, shards: [header] };
          readModelFacts(model);
          decideDraft({ target: model, draft: whole, type: random.pick(types), rule: "strict" });
          return "read";
        } catch (error) {
          if (error instanceof GgufError) return error.code;
          throw error;
        }
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  },
};

/** The most memory that reading the header of a file of this size may take. */
export function mostBytes(sizeBytes: number): number {
  return 4 * sizeBytes + 16 * 2 ** 20;
}

/** Bytes in memory that reject reads outside of them, and allocations that are too large for them. */
export function strictSource(bytes: Uint8Array): ByteSource {
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
      if (allocated > mostBytes(bytes.length))
        return Promise.reject(new Error(`${allocated} bytes allocated for ${bytes.length}`));
      into.set(bytes.subarray(offset, offset + into.length));
      return Promise.resolve();
    },
  };
}
