import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { bufferSource, type ByteSource } from "../../../src/gguf/byte-source.ts";
import { GgufError } from "../../../src/gguf/gguf-error.ts";
import { findText } from "../../../src/gguf/metadata.ts";
import { limits } from "../../../src/gguf/limits.ts";
import { readHeaderFrom } from "../../../src/gguf/read-header.ts";
import { readModel, readModelFrom } from "../../../src/gguf/read-model.ts";
import { mostShards } from "../../../src/gguf/split-set.ts";
import { readTokenizerFacts } from "../../../src/gguf/tokenizer-facts.ts";
import { strictSource } from "../../fuzz/gguf.ts";
import { buildGguf, modelKeys, type GgufParts } from "../../support/gguf-builder.ts";

const read = (bytes: Uint8Array) => readHeaderFrom(bufferSource(bytes, "model.gguf"));

async function refused(reading: Promise<unknown>): Promise<string> {
  const error = await reading.catch((thrown: unknown) => thrown);
  if (error instanceof GgufError) return `${error.code}: ${error.message}`;
  throw new Error("expected a GgufError", { cause: error });
}

describe("a header is refused", () => {
  test("that is larger than any model's, and is read only up to the limit", async () => {
    const start = buildGguf({ metadata: { text: "" } });
    start.writeBigUInt64LE(BigInt(limits.headerBytes), start.length - 8);
    let most = 0;
    const read: ByteSource["read"] = (offset, into) => {
      most = Math.max(most, offset + into.length);
      if (offset === 0) into.set(start);
      return Promise.resolve();
    };
    expect(await refused(readHeaderFrom({ name: "huge.gguf", sizeBytes: 2 ** 40, read }))).toMatch(/^limit-exceeded: /);
    expect(most).toBeLessThanOrEqual(limits.headerBytes);
    expect(limits.headerBytes).toBeLessThan(70e6);
  });

  test("with a short message about a long name", async () => {
    const key = "k".repeat(limits.keyBytes);
    const twice = buildGguf({ metadata: { [key]: 1, [`${key.slice(1)}x`]: 1 } });
    twice.write("k", twice.lastIndexOf("x"));
    expect((await refused(read(twice))).length).toBeLessThan(300);
  });
});

test("a text beyond the limit is skipped, and refused when it is wanted", async () => {
  const header = await read(
    buildGguf({ metadata: modelKeys({ "general.name": "x".repeat(limits.valueBytes + 1), after: 7 }) }),
  );
  expect(header.metadata.get("after")).toEqual({ type: "uint32", value: 7 });
  expect(() => findText(header, "general.name")).toThrow(GgufError);
  expect(findText(header, "general.architecture")).toBe("llama");
});

test("keys and tensors that were complete in a window are not parsed again", async () => {
  const metadata = Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`key ${i}`, "x".repeat(1000)]));
  const bytes = buildGguf({ metadata });
  const decode = vi.spyOn(Buffer.prototype, "toString");
  await read(bytes);
  const decodedBytes = decode.mock.calls.reduce(
    (sum, [, start, end]) => sum + Number(end ?? 0) - Number(start ?? 0),
    0,
  );
  decode.mockRestore();
  // If each window were parsed from the start, this would be five times the file.
  expect(decodedBytes).toBeLessThan(1.2 * bytes.length);
});

test("tokens of the same length as a known one are compared without decoding them", async () => {
  const tokens = Array.from({ length: 20_000 }, (_, i) => (i === 7 ? "<|im_end|>" : String(i).padStart(10, "x")));
  const header = await read(
    buildGguf({ metadata: { "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": tokens } }),
  );
  const decode = vi.spyOn(Buffer.prototype, "toString");
  expect(readTokenizerFacts(header).eotId).toBe(7);
  const decoded = decode.mock.calls.length;
  decode.mockRestore();
  expect(decoded).toBeLessThan(100);
});

describe("a split set", () => {
  const first = (count: number) => buildGguf({ metadata: { "split.no": 0, "split.count": count } });
  const shard = (number: number, count: number, parts: GgufParts = {}) =>
    buildGguf({ ...parts, metadata: { "split.no": number, "split.count": count, ...parts.metadata } });

  test.each([mostShards + 1, 8000, 99_999])("of %i shards is refused before one of them is opened", async (count) => {
    const opened: number[] = [];
    const open = async (index: number) => {
      opened.push(index);
      return bufferSource(first(count), "m.gguf");
    };
    expect(await refused(readModelFrom(count, open))).toContain(`${count} shards`);
    expect(opened).toEqual([0]);
  });

  test("of too many shards is refused on disk, before they are looked for", async () => {
    const folder = await mkdtemp(join(tmpdir(), "llmctl-shards-"));
    try {
      const path = join(folder, "m-00001-of-99999.gguf");
      await writeFile(path, first(99_999));
      expect(await refused(readModel(path))).toBe(
        `split-set: ${path} claims to be one of 99999 shards, more than ${mostShards}`,
      );
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test("has one limit for the headers of all its shards", async () => {
    const fillerBytes = limits.setBytes / 3;
    const large = buildGguf({ metadata: { filler: { type: "array", elementType: "uint8", values: [] } } });
    large.writeBigUInt64LE(BigInt(fillerBytes), large.length - 8);
    const opened: number[] = [];
    const open = async (index: number) => {
      opened.push(index);
      return index === 0 ? bufferSource(first(9), "0") : strictSource(large, large.length + fillerBytes);
    };
    expect(await refused(readModelFrom(9, open))).toMatch(/^limit-exceeded: /);
    expect(opened).toEqual([0, 1, 2, 3]);
  });

  test.each([
    [
      "tensors",
      {
        tensors: Array.from({ length: limits.tensors / 2 }, (_, i) => ({
          name: `t${i}`,
          ne: [],
          type: 200,
          data: Buffer.alloc(0),
        })),
      },
    ],
    ["metadata keys", { metadata: Object.fromEntries(Array.from({ length: 16_000 }, (_, i) => [`k${i}`, 1])) }],
  ] as const)("has one limit for the %s of all its shards", async (what, parts) => {
    // The shards differ only in their number.
    const large = shard(1, 9, parts);
    const numberAt = large.indexOf("split.no") + "split.no".length + 4;
    const open = async (index: number) => {
      large.writeUInt32LE(index, numberAt);
      return bufferSource(index === 0 ? first(9) : large, `${index}`);
    };
    expect(await refused(readModelFrom(9, open))).toMatch(new RegExp(`^limit-exceeded: .*${what}$`));
  });

  test("keeps only the position of the other shards", async () => {
    const numbers = Array.from({ length: 1000 }, () => 1);
    const open = async (index: number) => bufferSource(shard(index, 2, { metadata: { numbers } }), `${index}`);
    const { shards } = await readModelFrom(2, open);
    expect([...(shards[1]?.metadata.keys() ?? [])]).toEqual(["split.no", "split.count"]);
  });
});
