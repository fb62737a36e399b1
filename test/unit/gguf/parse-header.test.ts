import { describe, expect, test } from "vitest";
import { bufferSource } from "../../../src/gguf/byte-source.ts";
import { GgufError } from "../../../src/gguf/gguf-error.ts";
import type { GgufHeader } from "../../../src/gguf/gguf-header.ts";
import { limits } from "../../../src/gguf/limits.ts";
import { readHeaderFrom } from "../../../src/gguf/read-header.ts";
import { buildGguf, type GgufParts, type TypedPart } from "../../support/gguf-builder.ts";

const read = (bytes: Uint8Array): Promise<GgufHeader> => readHeaderFrom(bufferSource(bytes, "m.gguf"));

async function refused(bytes: Uint8Array): Promise<string> {
  const error: unknown = await read(bytes).catch((thrown: unknown) => thrown);
  if (error instanceof GgufError) return `${error.code}: ${error.message}`;
  throw new Error("expected a GgufError", { cause: error });
}

/** The bytes with a number written over them: an unsigned one of 32 or 64 bits. */
function patched(bytes: Buffer, at: number, value: number | bigint): Buffer {
  const copy = Buffer.from(bytes);
  if (typeof value === "bigint") copy.writeBigUInt64LE(value, at);
  else copy.writeUInt32LE(value, at);
  return copy;
}

const nothing = buildGguf({});
/** Where the counts are, and the first key. */
const [tensorsAt, keysAt, firstAt] = [8, 16, 24];

describe("the start of a file", () => {
  test.each([
    ["", "not-gguf: m.gguf is empty"],
    ["G", "truncated: m.gguf is truncated: the header runs to byte 24 or further, the file has 1"],
    ["GGUF", "truncated: m.gguf is truncated: the header runs to byte 8 or further, the file has 4"],
    ["GGU", "truncated: m.gguf is truncated: the header runs to byte 24 or further, the file has 3"],
    ["GUFG", 'not-gguf: m.gguf is not a GGUF file: it starts with the bytes 47554647, not "GGUF"'],
    ["vers", "not-gguf: m.gguf is not a GGUF file but text, perhaps a Git LFS pointer"],
    ["ver", 'not-gguf: m.gguf is not a GGUF file: it starts with the bytes 766572, not "GGUF"'],
    ["ggufabcdefgh", 'not-gguf: m.gguf is not a GGUF file: it starts with the bytes 67677566, not "GGUF"'],
  ])("%j is refused", async (start, message) => {
    expect(await refused(Buffer.from(start))).toBe(message);
  });

  test("a Git LFS pointer has a fix", async () => {
    await expect(read(Buffer.from("version https://git-lfs.github.com"))).rejects.toMatchObject({
      exit: "missingFile",
      fix: "download the file itself",
    });
  });

  test.each([
    [0x00_00_00_00, 0],
    [0x00_00_00_04, 4],
    [0x00_01_00_01, 65_537],
    [0x04_00_00_00, 4],
    [0x01_02_00_00, 513],
    [0x00_01_00_00, 256],
    [0x00_00_01_00, 256],
  ])("version number %i is version %i, which is refused", async (written, version) => {
    expect(await refused(patched(nothing, 4, written))).toBe(
      `unsupported-version: m.gguf has GGUF version ${version}, llmctl reads 1 to 3`,
    );
  });

  test.each([1, 2, 3])("version %i is read in both byte orders", async (version) => {
    for (const byteOrder of ["little", "big"] as const)
      expect(await read(buildGguf({ version, byteOrder, metadata: { a: 7 } }))).toMatchObject({
        version,
        byteOrder,
        name: "m.gguf",
        metadata: new Map([["a", { type: "uint32", value: 7 }]]),
        tensors: [],
      });
  });
});

describe("a count", () => {
  test("of keys or tensors, each of the smallest size, that the file has no room for is truncated", async () => {
    expect(await refused(patched(nothing, keysAt, 1n))).toBe(
      "truncated: m.gguf is truncated: the header runs to byte 38 or further, the file has 24",
    );
    expect(await refused(patched(nothing, tensorsAt, 2n))).toBe(
      "truncated: m.gguf is truncated: the header runs to byte 72 or further, the file has 24",
    );
  });

  test("of keys that have just room is no reason to refuse", async () => {
    const smallest = buildGguf({ metadata: { k: { type: "uint8", value: 1 } } });
    expect(smallest).toHaveLength(firstAt + 14);
    expect((await read(smallest)).metadata.size).toBe(1);
    // Its name and its shape are empty.
    const tensor = buildGguf({ tensors: [{ name: "", ne: [], type: 200, data: Buffer.alloc(0) }] });
    expect((await read(tensor)).tensors).toEqual([{ name: "", ne: [], type: 200, offset: 0 }]);
  });

  test.each([
    [keysAt, limits.keys, "metadata keys"],
    [tensorsAt, limits.tensors, "tensors"],
  ])("at byte %i may be %i, not more", async (at, most, what) => {
    const room = Buffer.concat([nothing, Buffer.alloc(2 ** 21)]);
    expect(await refused(patched(room, at, BigInt(most) + 1n))).toBe(
      `limit-exceeded: m.gguf claims to have ${most + 1} ${what}, more than ${most}`,
    );
    expect(await refused(patched(room, at, BigInt(most)))).not.toContain("limit-exceeded");
  });

  test.each([keysAt, tensorsAt])("at byte %i is read whole", async (at) => {
    expect(await refused(patched(nothing, at, 2n ** 32n))).toContain(
      `limit-exceeded: m.gguf claims to have ${2 ** 32} `,
    );
  });
});

describe("a key", () => {
  const one = buildGguf({ metadata: { k: { type: "uint8", value: 1 } } });

  test.each([
    ["is empty", patched(one, firstAt, 0n), "a metadata key is empty (byte 24)"],
    [
      "is there twice",
      buildGguf({ metadata: { k: 1, l: 2 } }).map((byte) => (byte === 0x6c ? 0x6b : byte)),
      'the metadata key "k" is there twice (byte 41)',
    ],
    ["has a type that there is not", patched(one, firstAt + 9, 13), "there is no value type 13 (byte 33)"],
  ])("that %s is refused with its place", async (_, bytes, why) => {
    expect(await refused(bytes)).toBe(`not-gguf: m.gguf is not a valid GGUF file: ${why}`);
  });

  test("may be as long as the format allows, not longer", async () => {
    const long = (length: number) => buildGguf({ metadata: { ["k".repeat(length)]: 1 } });
    expect((await read(long(limits.keyBytes))).metadata.size).toBe(1);
    expect(await refused(long(limits.keyBytes + 1))).toBe(
      "limit-exceeded: m.gguf has a metadata key of 65536 bytes, more than 65535",
    );
  });

  test("or value of more than 4 GiB is truncated, however small its lower half is", async () => {
    const text = buildGguf({ metadata: { k: "v" } });
    for (const at of [firstAt, firstAt + 13])
      expect(await refused(patched(text, at, 2n ** 32n + 1n))).toMatch(/^truncated: .* byte 42949673\d\d or further/);
    const list = buildGguf({ metadata: { k: ["v"] } });
    const [countAt, stringAt] = [firstAt + 17, firstAt + 25];
    for (const at of [countAt, stringAt])
      expect(await refused(patched(list, at, 2n ** 32n + 1n))).toMatch(/^truncated: /);
  });
});

describe("a value", () => {
  test.each<readonly [TypedPart["type"], TypedPart, unknown]>([
    ["uint8", { type: "uint8", value: 255 }, { type: "uint8", value: 255 }],
    ["int8", { type: "int8", value: -1 }, { type: "int8", value: -1 }],
    ["uint16", { type: "uint16", value: 0x0102 }, { type: "uint16", value: 0x0102 }],
    ["int16", { type: "int16", value: -2 }, { type: "int16", value: -2 }],
    ["float32", { type: "float32", value: 0.5 }, { type: "float32", value: 0.5 }],
    ["float64", { type: "float64", value: 0.1 }, { type: "float64", value: 0.1 }],
    ["bool", { type: "bool", value: true }, { type: "bool", value: true }],
    ["string", { type: "string", value: "" }, { type: "string", value: "" }],
    ["uint64", { type: "uint64", value: 2n ** 60n }, { type: "uint64", value: 2n ** 60n }],
    ["int64", { type: "int64", value: -1n }, { type: "int64", value: -1n }],
  ])("of type %s is read, and the key behind it", async (_, part, value) => {
    for (const byteOrder of ["little", "big"] as const) {
      const { metadata } = await read(buildGguf({ byteOrder, metadata: { k: part, after: 7 } }));
      expect([...metadata]).toEqual([
        ["k", value],
        ["after", { type: "uint32", value: 7 }],
      ]);
    }
  });

  test("that is a boolean is false only for 0", async () => {
    const bytes = buildGguf({ metadata: { k: { type: "bool", value: true } } });
    for (const [byte, value] of [
      [0, false],
      [2, true],
      [255, true],
    ] as const) {
      bytes[bytes.length - 1] = byte;
      expect((await read(bytes)).metadata.get("k")).toEqual({ type: "bool", value });
    }
  });

  test("that is a text is decoded up to the limit, and only measured beyond it", async () => {
    const text = (length: number) => buildGguf({ metadata: { k: "x".repeat(length), after: 7 } });
    expect((await read(text(limits.valueBytes))).metadata.get("k")).toEqual({
      type: "string",
      value: "x".repeat(limits.valueBytes),
    });
    const { metadata } = await read(text(limits.valueBytes + 1));
    expect([...metadata.values()]).toEqual([
      { type: "string", value: "", undecodedBytes: limits.valueBytes + 1 },
      { type: "uint32", value: 7 },
    ]);
  });

  const inner = (depth: number): TypedPart & { type: "array" } =>
    depth === 1
      ? { type: "array", elementType: "uint16", values: [1, 2] }
      : { type: "array", elementType: "array", values: [inner(depth - 1), inner(depth - 1)] };

  test("may nest arrays four deep, not five", async () => {
    const { metadata } = await read(buildGguf({ metadata: { k: inner(limits.nesting), after: 7 } }));
    expect(metadata.get("after")).toEqual({ type: "uint32", value: 7 });
    expect(await refused(buildGguf({ metadata: { k: inner(limits.nesting + 1) } }))).toBe(
      "limit-exceeded: m.gguf nests arrays more than 4 deep",
    );
  });

  test("that is an array keeps its bytes, and how to read them", async () => {
    const bytes = buildGguf({
      version: 1,
      byteOrder: "big",
      metadata: { k: { type: "array", elementType: "uint16", values: [1, 2] } },
    });
    expect((await read(bytes)).metadata.get("k")).toEqual({
      type: "array",
      elementType: "uint16",
      count: 2,
      bytes: new Uint8Array([0, 1, 0, 2]),
      littleEndian: false,
      lengthBytes: 4,
    });
  });

  test.each(["uint8", "string", "array"] as const)(
    "that claims more %s elements than the file has room for is truncated",
    async (elementType) => {
      const least = { uint8: 1, string: 8, array: 12 }[elementType];
      const empty = buildGguf({ metadata: { k: { type: "array", elementType, values: [] } } });
      const at = empty.length - 8;
      const padded = Buffer.concat([patched(empty, at, 3n), Buffer.alloc(3 * least)]);
      expect((await read(padded)).metadata.get("k")).toMatchObject({ count: 3, elementType });
      expect(await refused(padded.subarray(0, -1))).toBe(
        `truncated: m.gguf is truncated: the header runs to byte ${padded.length} or further, ` +
          `the file has ${padded.length - 1}`,
      );
    },
  );
});

describe("the limits of small pieces", () => {
  /** A header with one array of this many elements, each so many zero bytes. */
  function zeros(elementType: "string" | "array", count: number, elementBytes: number): Buffer {
    const head = buildGguf({ metadata: { zeros: { type: "array", elementType, values: [] } } });
    return Buffer.concat([patched(head, head.length - 8, BigInt(count)), Buffer.alloc(count * elementBytes)]);
  }

  test.each([
    ["arrays in arrays", limits.innerArrays, (count: number) => zeros("array", count, 12)],
    ["strings in its arrays", limits.strings, (count: number) => zeros("string", count, 8)],
  ])("%s: %i are read, one more is not", async (what, most, make) => {
    expect((await read(make(most))).metadata.get("zeros")).toMatchObject({ count: most });
    expect(await refused(make(most + 1))).toBe(`limit-exceeded: m.gguf has more than ${most} ${what}`);
  });

  test("hold over all windows together", async () => {
    const most = limits.textBytes / 2 ** 19;
    const texts = (count: number) =>
      buildGguf({
        metadata: Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, "x".repeat(2 ** 19)])),
      });
    expect((await read(texts(most - 1))).metadata.size).toBe(most - 1);
    expect(await refused(texts(most))).toBe(
      `limit-exceeded: m.gguf has more than ${limits.textBytes} bytes of text in its keys, values and names`,
    );
  });
});

describe("the tensors", () => {
  const tensor = { name: "t", ne: [3] };

  test.each([
    [1, true],
    [32, true],
    [2 ** 31, true],
    [0, false],
    [3, false],
    [48, false],
  ])("an alignment of %i is a power of two: %s", async (alignment, isRight) => {
    const bytes = buildGguf({ metadata: { "general.alignment": alignment } });
    if (isRight) expect((await read(bytes)).dataOffset).toBe(bytes.length);
    else
      expect(await refused(bytes)).toBe(
        `not-gguf: m.gguf is not a valid GGUF file: general.alignment is not a power of two (byte ${bytes.length})`,
      );
  });

  test("an alignment of another type is refused", async () => {
    for (const value of [
      { type: "int32", value: 32 },
      { type: "uint64", value: 32n },
      { type: "string", value: "32" },
    ] as const)
      expect(await refused(buildGguf({ metadata: { "general.alignment": value } }))).toContain("not a power of two");
  });

  test.each([1, 8, 32, 4096])("start at a multiple of %i", async (alignment) => {
    const bytes = buildGguf({
      metadata: { "general.alignment": alignment },
      tensors: [tensor, { ...tensor, name: "u" }],
    });
    const header = await read(bytes);
    expect(header.tensors.map(({ offset }) => offset % alignment)).toEqual([0, 0]);
    expect(header.dataOffset % alignment).toBe(0);
    expect(header.dataOffset + (header.tensors[1]?.offset ?? 0) + Math.ceil(12 / alignment) * alignment).toBe(
      bytes.length,
    );
  });

  test("must be in the file whole, the last by its place and not by its order", async () => {
    const bytes = buildGguf({
      tensors: [
        { name: "a", ne: [8] },
        { name: "b", ne: [8] },
      ],
    });
    const { dataOffset } = await read(bytes);
    expect(await read(bytes.subarray(0, dataOffset + 64))).toMatchObject({ dataOffset });
    const end = dataOffset + 64;
    const message = `truncated: m.gguf is truncated: tensor data runs to byte ${end}, the file has ${end - 1}`;
    expect(await refused(bytes.subarray(0, dataOffset + 63))).toBe(message);
    // The places of both swapped.
    const offsetAt = (name: string) => bytes.indexOf(name) + 1 + 4 + 8 + 4;
    const swapped = patched(patched(bytes, offsetAt("a"), 32n), offsetAt("b"), 0n);
    expect(await refused(swapped.subarray(0, dataOffset + 63))).toBe(message);
    await expect(read(bytes.subarray(0, dataOffset + 63))).rejects.toMatchObject({ fix: "download the file again" });
  });

  test("without data end the file where their data would start", async () => {
    const bytes = buildGguf({ tensors: [{ name: "t", ne: [0], type: 0 }] });
    expect((await read(bytes)).dataOffset).toBe(bytes.length);
    expect(await refused(bytes.subarray(0, -1))).toContain(`tensor data runs to byte ${bytes.length}`);
  });

  test.each<readonly [GgufParts["tensors"] & object, string]>([
    [
      [
        { name: "t", ne: [1] },
        { name: "t", ne: [1] },
      ],
      'not-gguf: m.gguf is not a valid GGUF file: the tensor "t" is there twice (byte 57)',
    ],
    [[{ name: "t", ne: [1, 1, 1, 1, 1] }], "limit-exceeded: m.gguf has a tensor with 5 dimensions, more than 4"],
    [[{ name: "t".repeat(1025), ne: [1] }], "limit-exceeded: m.gguf has a tensor's name of 1025 bytes, more than 1024"],
    [
      [{ name: "t", ne: [2 ** 27, 2 ** 26], data: Buffer.alloc(1) }],
      'limit-exceeded: m.gguf claims a size above 2^53 for the tensor "t"',
    ],
    [
      [{ name: "t", ne: [33, 32], type: 8, data: Buffer.alloc(9999) }],
      'not-gguf: m.gguf is not a valid GGUF file: the tensor "t" has rows of 33 elements, Q8_0 needs a multiple of 32',
    ],
  ])("%j are refused", async (tensors, message) => {
    expect(await refused(buildGguf({ tensors }))).toBe(message);
  });

  test.each<readonly [string, GgufParts["tensors"] & object]>([
    ["four dimensions", [{ name: "t", ne: [1, 2, 3, 4] }]],
    ["no dimension, which is one element", [{ name: "t", ne: [], data: Buffer.alloc(4) }]],
    ["a name of 1024 bytes", [{ name: "t".repeat(1024), ne: [1] }]],
    ["whole blocks in a row", [{ name: "t", ne: [64, 3], type: 8, data: Buffer.alloc(6 * 34) }]],
    ["a type of which nothing is known", [{ name: "t", ne: [33, 2 ** 40], type: 200, data: Buffer.alloc(0) }]],
  ])("with %s are read", async (_, tensors) => {
    const { tensors: found } = await read(buildGguf({ tensors }));
    expect(found).toMatchObject(tensors.map(({ name, ne, type = 0 }) => ({ name, ne, type })));
  });

  test("with an offset above 2^53 are refused", async () => {
    const bytes = buildGguf({ tensors: [tensor] });
    expect(await refused(patched(bytes, bytes.indexOf("t", firstAt) + 1 + 4 + 8 + 4, 2n ** 53n))).toContain(
      "above 2^53",
    );
  });

  test("take the bytes of their blocks", async () => {
    const bytes = buildGguf({ tensors: [{ name: "t", ne: [256, 3], type: 12, data: Buffer.alloc(3 * 144) }] });
    const { dataOffset } = await read(bytes);
    expect(await refused(bytes.subarray(0, dataOffset + 3 * 144 - 1))).toContain(`to byte ${dataOffset + 3 * 144},`);
  });
});
