import { describe, expect, test } from "vitest";
import { Cursor, NeedMoreBytes, type ReadProgress, type TextBudget } from "../../../src/gguf/cursor.ts";

interface CursorOptions {
  readonly bytes: Uint8Array;
  readonly sizeBytes?: number;
  readonly littleEndian?: boolean;
  readonly lengthBytes?: 4 | 8;
  readonly budget?: Partial<TextBudget>;
  readonly progress?: ReadProgress;
}

function cursorOver({
  bytes,
  sizeBytes,
  littleEndian = true,
  lengthBytes = 8,
  budget,
  progress,
}: CursorOptions): Cursor {
  const noLimit = { textBytes: Infinity, strings: Infinity, innerArrays: Infinity };
  const cursor = new Cursor({
    name: "m.gguf",
    sizeBytes: sizeBytes ?? bytes.length,
    bytes,
    ...(budget === undefined ? {} : { budget: { ...noLimit, ...budget } }),
    ...(progress === undefined ? {} : { progress }),
  });
  return Object.assign(cursor, { littleEndian, lengthBytes });
}

/** Strings as they are in a file. */
function texts(
  values: readonly string[],
  { littleEndian = true, lengthBytes = 8 }: Partial<CursorOptions> = {},
): Buffer {
  return Buffer.concat(
    values.map((value) => {
      const length = Buffer.alloc(lengthBytes);
      const low = littleEndian ? 0 : lengthBytes - 4;
      if (littleEndian) length.writeUInt32LE(Buffer.byteLength(value), low);
      else length.writeUInt32BE(Buffer.byteLength(value), low);
      return Buffer.concat([length, Buffer.from(value)]);
    }),
  );
}

function thrown(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return expect.unreachable();
}

describe("numbers", () => {
  const bytes = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9);

  test("are read in the byte order of the file, one after the other", () => {
    const little = cursorOver({ bytes });
    expect([little.u32(), little.position, little.u32(), little.position]).toEqual([0x04030201, 4, 0x08070605, 8]);
    const big = cursorOver({ bytes, littleEndian: false });
    expect([big.u32(), big.u32(), big.remaining]).toEqual([0x01020304, 0x05060708, 1]);
    const get = (view: DataView, at: number, isLittle: boolean) => view.getUint16(at, isLittle);
    expect([cursorOver({ bytes }).number(2, get), cursorOver({ bytes, littleEndian: false }).number(2, get)]).toEqual([
      0x0201, 0x0102,
    ]);
  });

  test.each([
    [true, 8, 0x08070605 * 2 ** 32 + 0x04030201],
    [false, 8, 0x01020304 * 2 ** 32 + 0x05060708],
    [true, 4, 0x04030201],
    [false, 4, 0x01020304],
  ] as const)("a length, little-endian %s, of %i bytes", (littleEndian, lengthBytes, value) => {
    const cursor = cursorOver({ bytes, littleEndian, lengthBytes });
    expect([cursor.length(), cursor.position]).toEqual([value, lengthBytes]);
  });

  test("start where the window starts in its buffer", () => {
    const cursor = cursorOver({ bytes: bytes.subarray(4) });
    expect([cursor.u32(), [...cursor.take(1)]]).toEqual([0x08070605, [9]]);
  });
});

describe("bytes that are not there", () => {
  const bytes = new Uint8Array(8);

  test("up to the end of the window, nothing is missing", () => {
    const cursor = cursorOver({ bytes, sizeBytes: 20 });
    expect(cursor.take(8)).toHaveLength(8);
    expect(cursor.position).toBe(8);
  });

  test("behind the window, more bytes are needed", () => {
    const cursor = cursorOver({ bytes, sizeBytes: 20 });
    cursor.position = 3;
    const error = thrown(() => cursor.need(6, 77));
    expect(error).toBeInstanceOf(NeedMoreBytes);
    expect(error).toMatchObject({ end: 9, likelyEnd: 77, message: "bytes up to 9 are needed" });
    expect(thrown(() => cursor.take(17))).toMatchObject({ end: 20, likelyEnd: 0 });
    expect(cursor.position).toBe(3);
  });

  test("behind the file, it is truncated", () => {
    const cursor = cursorOver({ bytes, sizeBytes: 20 });
    cursor.position = 3;
    expect(thrown(() => cursor.take(18))).toMatchObject({
      code: "truncated",
      message: "m.gguf is truncated: the header runs to byte 21 or further, the file has 20",
    });
  });
});

describe("a text", () => {
  test("is decoded, whatever its length and its characters", () => {
    const cursor = cursorOver({ bytes: texts(["", "é🦙", "x".repeat(300)]) });
    expect([1, 2, 3].map(() => cursor.text("a key", 300))).toEqual(["", "é🦙", "x".repeat(300)]);
    expect(cursor.remaining).toBe(0);
  });

  test("of exactly the bytes that are left is read, one byte more is truncated", () => {
    expect(cursorOver({ bytes: texts(["abc"]) }).text("a key", 3)).toBe("abc");
    const cut = texts(["abc"]).subarray(0, 10);
    expect(thrown(() => cursorOver({ bytes: cut }).text("a key", 3))).toMatchObject({
      code: "truncated",
      message: "m.gguf is truncated: the header runs to byte 11 or further, the file has 10",
    });
  });

  test("longer than it may be is refused before its bytes are asked for", () => {
    const cursor = cursorOver({ bytes: texts(["abcd"]).subarray(0, 8), sizeBytes: 100 });
    expect(thrown(() => cursor.text("a key", 3))).toMatchObject({
      code: "limit-exceeded",
      message: "m.gguf has a key of 4 bytes, more than 3",
    });
  });

  test.each([true, false])("of more than 4 GiB is truncated in a small file, little-endian %s", (littleEndian) => {
    const bytes = texts(["abcd"], { littleEndian });
    // The other half of the length: 2 ** 32 + 4 bytes.
    bytes[littleEndian ? 4 : 3] = 1;
    for (const read of [(cursor: Cursor) => cursor.text("a key", 2 ** 40), (cursor: Cursor) => cursor.skipTexts(1)])
      expect(thrown(() => read(cursorOver({ bytes, littleEndian })))).toMatchObject({ code: "truncated" });
  });
});

describe("strings that are skipped", () => {
  const values = Array.from({ length: 5000 }, (_, index) => "x".repeat(index % 7));

  test.each([
    [true, 8],
    [false, 8],
    [true, 4],
    [false, 4],
  ] as const)("end where the next value starts, little-endian %s, lengths of %i bytes", (littleEndian, lengthBytes) => {
    const strings = texts(values, { littleEndian, lengthBytes });
    const cursor = cursorOver({ bytes: Buffer.concat([strings, Buffer.alloc(9)]), littleEndian, lengthBytes });
    cursor.skipTexts(values.length);
    expect(cursor.position).toBe(strings.length);
    const start = cursorOver({ bytes: strings, littleEndian, lengthBytes });
    start.skipTexts(3);
    expect(start.position).toBe(texts(values.slice(0, 3), { littleEndian, lengthBytes }).length);
    start.skipTexts(0);
    expect(start.position).toBe(texts(values.slice(0, 3), { littleEndian, lengthBytes }).length);
  });

  test("of which the last reaches behind the file are truncated", () => {
    const bytes = texts(["ab", "cd"]);
    expect(thrown(() => cursorOver({ bytes: bytes.subarray(0, -1) }).skipTexts(2))).toMatchObject({
      code: "truncated",
    });
    expect(thrown(() => cursorOver({ bytes }).skipTexts(3))).toMatchObject({ code: "truncated" });
  });

  test("ask for a window in which all of them are likely to be", () => {
    const bytes = texts(values);
    const window = bytes.subarray(0, bytes.length / 2);
    const error = thrown(() => cursorOver({ bytes: window, sizeBytes: 2 ** 30 }).skipTexts(values.length));
    expect(error).toBeInstanceOf(NeedMoreBytes);
    const { end, likelyEnd } = error as NeedMoreBytes;
    expect(end).toBeGreaterThan(window.length);
    expect(end).toBeLessThan(window.length + 20);
    expect(likelyEnd / bytes.length).toBeCloseTo(1, 2);
  });

  test("do not ask for more than the first string without having seen one", () => {
    const error = thrown(() => cursorOver({ bytes: Buffer.alloc(4), sizeBytes: 2 ** 30 }).skipTexts(5000));
    expect(error).toMatchObject({ end: 8, likelyEnd: 0 });
  });

  test("are not skipped again in the next window", () => {
    const bytes = texts(values);
    const progress: ReadProgress = new Map();
    const half = { bytes: bytes.subarray(0, bytes.length / 2), sizeBytes: bytes.length, progress };
    expect(thrown(() => cursorOver(half).skipTexts(values.length))).toBeInstanceOf(NeedMoreBytes);
    const done = texts(values.slice(0, 2048)).length;
    expect([...progress]).toEqual([[0, { index: 2048, position: done }]]);
    // What was skipped is not looked at again: it may be anything.
    const changed = Buffer.concat([Buffer.alloc(done, 255), bytes.subarray(done)]);
    const next = cursorOver({ bytes: changed, progress });
    next.skipTexts(values.length);
    expect(next.position).toBe(bytes.length);
  });

  test("of a small array are not noted: a file may have millions of them", () => {
    const progress: ReadProgress = new Map();
    cursorOver({ bytes: texts(values.slice(0, 2048)), progress }).skipTexts(2048);
    expect(progress.size).toBe(0);
  });
});

describe("a limit for all small pieces together", () => {
  test.each([
    ["textBytes", "bytes of text in its keys, values and names"],
    ["strings", "strings in its arrays"],
    ["innerArrays", "arrays in arrays"],
  ] as const)("of %s is reached, not exceeded", (what, name) => {
    const cursor = cursorOver({ bytes: new Uint8Array(0), budget: { [what]: 10 } });
    cursor.spend(what, 4);
    cursor.spend(what, 6);
    expect(cursor.spent).toEqual({ textBytes: 0, strings: 0, innerArrays: 0, [what]: 10 });
    expect(thrown(() => cursor.spend(what, 1))).toMatchObject({
      code: "limit-exceeded",
      message: `m.gguf has more than 10 ${name}`,
    });
  });

  test("counts texts by their bytes, and strings by their number", () => {
    const cursor = cursorOver({ bytes: texts(["é", "a", "b"]), budget: { textBytes: 2, strings: 2 } });
    cursor.text("a key", 9);
    cursor.skipTexts(2);
    expect(cursor.spent).toEqual({ textBytes: 2, strings: 2, innerArrays: 0 });
    expect(thrown(() => cursor.skipTexts(1))).toMatchObject({ code: "limit-exceeded" });
  });

  test("is unlimited when none is given", () => {
    const cursor = cursorOver({ bytes: new Uint8Array(0) });
    cursor.spend("strings", 1e12);
    expect(cursor.spent.strings).toBe(1e12);
  });
});
