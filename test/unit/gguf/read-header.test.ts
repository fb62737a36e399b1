import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ByteSource } from "../../../src/gguf/byte-source.ts";
import { bufferSource, handleSource } from "../../../src/gguf/byte-source.ts";
import type { ElementType, GgufArray } from "../../../src/gguf/gguf-array.ts";
import { decodeNumbers, decodeTexts } from "../../../src/gguf/gguf-array.ts";
import { GgufError } from "../../../src/gguf/gguf-error.ts";
import { findArray, findText } from "../../../src/gguf/metadata.ts";
import type { GgufHeader } from "../../../src/gguf/gguf-header.ts";
import { limits } from "../../../src/gguf/limits.ts";
import { readHeader, readHeaderFrom } from "../../../src/gguf/read-header.ts";
import type { GgufParts, TypedPart } from "../../support/gguf-builder.ts";
import { buildGguf, modelKeys } from "../../support/gguf-builder.ts";

const read = (bytes: Uint8Array): Promise<GgufHeader> => readHeaderFrom(bufferSource(bytes, "model.gguf"));

function arrayOf(header: GgufHeader, key: string): GgufArray {
  const array = findArray(header, key);
  if (array === undefined) throw new Error(`${key} is no array`);
  return array;
}

async function failure(reading: Promise<unknown>): Promise<{ code: string; message: string }> {
  const error = await reading.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof GgufError)) throw new Error("expected a GgufError", { cause: error });
  return { code: error.code, message: error.message };
}

const tensors = [
  { name: "token_embd.weight", ne: [64, 3] },
  { name: "blk.0.ffn.weight", ne: [32, 2], type: 8, data: Buffer.alloc(68) },
];

describe("a valid header", () => {
  for (const version of [1, 2, 3]) {
    for (const byteOrder of ["little", "big"] as const) {
      test(`version ${version}, ${byteOrder}-endian: metadata, tensors and the place of their data`, async () => {
        const bytes = buildGguf({ version, byteOrder, metadata: modelKeys(), tensors });
        const header = await read(bytes);
        expect(header).toMatchObject({ version, byteOrder, sizeBytes: bytes.length });
        expect(findText(header, "general.architecture")).toBe("llama");
        expect(header.metadata.get("llama.block_count")).toEqual({ type: "uint32", value: 2 });
        expect(decodeTexts(arrayOf(header, "tokenizer.ggml.tokens")).slice(0, 2)).toEqual(["token0", "token1"]);
        expect(decodeNumbers(arrayOf(header, "tokenizer.ggml.token_type"))?.slice(0, 2)).toEqual([1, 1]);
        expect(header.tensors).toEqual([
          { name: "token_embd.weight", ne: [64, 3], type: 0, offset: 0 },
          { name: "blk.0.ffn.weight", ne: [32, 2], type: 8, offset: 768 },
        ]);
        expect(header.dataOffset % 32).toBe(0);
        expect(header.dataOffset + 768 + 96).toBe(bytes.length);
      });
    }
  }

  test("strings longer than 255 bytes are skipped in every layout", async () => {
    const values = ["short", "x".repeat(300), "", "é".repeat(40_000), "last"];
    for (const version of [1, 3]) {
      for (const byteOrder of ["little", "big"] as const) {
        const header = await read(buildGguf({ version, byteOrder, metadata: { values, after: 7 } }));
        expect(decodeTexts(arrayOf(header, "values"))).toEqual(values);
        expect(header.metadata.get("after")).toEqual({ type: "uint32", value: 7 });
      }
    }
  });
});

describe("reading in growing windows", () => {
  test("a header larger than the first window is read in few steps, each byte once, barely past its end", async () => {
    const tokens = Array.from({ length: 30_000 }, (_, id) => `token number ${id}`);
    const bytes = Buffer.concat([
      buildGguf({ metadata: { tokens, merges: tokens.toReversed(), last: true }, tensors }),
      Buffer.alloc(2 ** 22),
    ]);
    const reads: { offset: number; length: number }[] = [];
    const inner = bufferSource(bytes, "model.gguf");
    const source: ByteSource = {
      ...inner,
      read: (offset, into) => {
        reads.push({ offset, length: into.length });
        return inner.read(offset, into);
      },
    };
    const header = await readHeaderFrom(source);
    expect(header.metadata.get("last")).toEqual({ type: "bool", value: true });
    expect(decodeTexts(arrayOf(header, "merges"))[0]).toBe("token number 29999");
    expect(reads.length).toBeLessThan(8);
    expect(reads.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(header.dataOffset * 1.3);
    reads.reduce((end, { offset, length }) => {
      expect(offset).toBe(end);
      return offset + length;
    }, 0);
  });

  test("single values larger than a window are read whole", async () => {
    const bytes = buildGguf({
      metadata: { text: "x".repeat(3 * 2 ** 20), numbers: Array.from({ length: 50_000 }, (_, n) => n), end: 1 },
    });
    expect([...(await read(bytes)).metadata.keys()]).toEqual(["text", "numbers", "end"]);
  });
});

describe("a round trip through the builder", () => {
  const number = (min: number, max: number) => fc.integer({ min, max });
  const scalars: Record<Exclude<ElementType, "array">, fc.Arbitrary<number | bigint | boolean | string>> = {
    uint8: number(0, 255),
    int8: number(-128, 127),
    uint16: number(0, 65535),
    int16: number(-32768, 32767),
    uint32: number(0, 2 ** 32 - 1),
    int32: number(-(2 ** 31), 2 ** 31 - 1),
    float32: fc.float({ noNaN: true }),
    float64: fc.double({ noNaN: true }),
    bool: fc.boolean(),
    string: fc.string({ unit: "grapheme" }),
    uint64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    int64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  };
  const types = Object.keys(scalars) as (keyof typeof scalars)[];
  const scalar = fc
    .constantFrom(...types)
    .chain((type) => scalars[type].map((value) => ({ type, value }) as TypedPart));
  const array = fc
    .constantFrom(...types)
    .chain((elementType) =>
      fc
        .array(scalars[elementType], { maxLength: 20 })
        .map((values): TypedPart => ({ type: "array", elementType, values })),
    );
  const parts: fc.Arbitrary<GgufParts> = fc.record({
    version: fc.constantFrom(1, 2, 3),
    byteOrder: fc.constantFrom("little", "big"),
    metadata: fc.dictionary(fc.string({ minLength: 1, unit: "grapheme" }), fc.oneof(scalar, array), { maxKeys: 8 }),
    tensors: fc.uniqueArray(
      fc.record({ name: fc.string({ maxLength: 20 }), ne: fc.array(number(0, 9), { minLength: 1, maxLength: 4 }) }),
      {
        selector: ({ name }) => name,
        maxLength: 5,
      },
    ),
  });

  test("keeps every value, its type and its place", async () => {
    await fc.assert(
      fc.asyncProperty(parts, async (wanted) => {
        const header = await read(buildGguf(wanted));
        expect([...header.metadata.keys()]).toEqual(Object.keys(wanted.metadata ?? {}));
        for (const [key, part] of Object.entries(wanted.metadata ?? {}) as [string, TypedPart][]) {
          const value = header.metadata.get(key);
          if (part.type !== "array") {
            expect(value).toEqual(part);
          } else if (value?.type === "array") {
            expect(value).toMatchObject({ elementType: part.elementType, count: part.values.length });
            if (part.elementType === "string") expect(decodeTexts(value)).toEqual(part.values);
            const decoded = decodeNumbers(value);
            if (decoded !== undefined) expect(decoded).toEqual(part.values.map(Number));
          } else {
            expect.unreachable(`${key} is no array`);
          }
        }
        expect(header.tensors.map(({ name, ne }) => ({ name, ne }))).toEqual(wanted.tensors);
      }),
      { numRuns: 60 },
    );
  });
});

describe("an invalid file", () => {
  const whole = buildGguf({ metadata: modelKeys(), tensors });

  test("empty, other text and other bytes are not GGUF", async () => {
    expect(await failure(read(Buffer.alloc(0)))).toEqual({ code: "not-gguf", message: "model.gguf is empty" });
    expect(await failure(read(Buffer.from("version https://git-lfs.github.com/spec/v1")))).toMatchObject({
      code: "not-gguf",
    });
    expect((await failure(read(Buffer.alloc(100)))).message).toBe(
      'model.gguf is not a GGUF file: it starts with the bytes 00000000, not "GGUF"',
    );
    expect(await failure(read(Buffer.from("GG")))).toMatchObject({ code: "truncated" });
    expect(await failure(read(Buffer.from("GX")))).toMatchObject({ code: "not-gguf" });
  });

  test("a file that is cut anywhere is truncated", async () => {
    const dataEnd = whole.length - (96 - 68);
    for (let length = 4; length < dataEnd; length += 1) {
      expect(await failure(read(whole.subarray(0, length)))).toMatchObject({ code: "truncated" });
    }
    expect((await read(whole.subarray(0, dataEnd))).tensors).toHaveLength(2);
  });

  test("a header above the limit is not read", async () => {
    const start = buildGguf({ metadata: { text: "" } });
    start.writeBigUInt64LE(2n ** 30n, start.length - 8);
    let most = 0;
    const source: ByteSource = {
      name: "huge.gguf",
      sizeBytes: 2 ** 40,
      read: (offset, into) => {
        most = Math.max(most, offset + into.length);
        if (offset === 0) into.set(start);
        return Promise.resolve();
      },
    };
    expect(await failure(readHeaderFrom(source))).toMatchObject({ code: "limit-exceeded" });
    expect(most).toBeLessThan(limits.headerBytes);
  });

  test("a file that shrinks while it is read is truncated", async () => {
    const source = bufferSource(whole.subarray(0, 100), "model.gguf");
    expect(await failure(readHeaderFrom({ ...source, sizeBytes: whole.length }))).toMatchObject({ code: "truncated" });
  });
});

describe("paths", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "llmctl-gguf-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test("a file is read from disk", async () => {
    const path = join(folder, "good.gguf");
    await writeFile(path, buildGguf({ metadata: modelKeys(), tensors }));
    expect(await readHeader(path)).toMatchObject({ name: path, version: 3 });
  });

  test("a file that is already open is read and stays open", async () => {
    const path = join(folder, "open.gguf");
    await writeFile(path, buildGguf({ metadata: modelKeys(), tensors }));
    const handle = await open(path);
    expect((await readHeaderFrom(await handleSource(handle, "fd"))).tensors).toHaveLength(2);
    expect((await handle.stat()).size).toBeGreaterThan(0);
    await handle.close();
  });

  test("a missing file, a folder and a device have different errors", async () => {
    expect(await failure(readHeader(join(folder, "none.gguf")))).toMatchObject({ code: "file-missing" });
    expect(await failure(readHeader(folder))).toEqual({
      code: "not-gguf",
      message: `${folder} is a directory, not a GGUF file`,
    });
    expect(await failure(readHeader("/dev/null"))).toEqual({
      code: "not-gguf",
      message: "/dev/null is not a regular file",
    });
  });

  test("an error gets its place and fix from the caller", async () => {
    const error = await readHeader(join(folder, "none.gguf")).catch((thrown: unknown) => thrown);
    const placed =
      error instanceof GgufError
        ? error.placed({ at: 'draft model of profile "coder"', fix: 'run "llmctl pull coder"' })
        : undefined;
    expect(placed).toMatchObject({
      code: "file-missing",
      at: 'draft model of profile "coder"',
      fix: 'run "llmctl pull coder"',
      exit: "missingFile",
    });
  });
});
