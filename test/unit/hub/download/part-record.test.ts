import { truncate, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { emptyRecord, parseRecord, PartRecord, readRecord } from "../../../../src/hub/download/part-record.ts";
import { FakeFiles } from "../../../support/fake-files.ts";

const text = '\netag "abc"\n0 1048576\n4194304 5242880\n1048576 2097152';
const sizeBytes = 5_242_880;

describe("a record", () => {
  test("holds the fetched ranges and the ETag", () => {
    expect(parseRecord(text, sizeBytes)).toEqual({
      etag: '"abc"',
      ranges: [
        { start: 0, end: 2_097_152 },
        { start: 4_194_304, end: 5_242_880 },
      ],
    });
  });

  test("that was cut anywhere and then extended never names a missing byte", () => {
    const whole = parseRecord(text, sizeBytes).ranges;
    for (let length = 0; length < text.length; length += 1) {
      for (const { start, end } of parseRecord(`${text.slice(0, length)}\n0 10`, sizeBytes).ranges) {
        expect(whole.some((range) => range.start <= start && end <= range.end)).toBe(true);
      }
    }
  });

  test.each([
    ["0 5242880", [{ start: 0, end: 5_242_880 }]],
    ["5242879 5242880", [{ start: 5_242_879, end: 5_242_880 }]],
    ["0 0000000000000009", [{ start: 0, end: 9 }]],
  ])("may name bytes up to the last one: %j", (line, ranges) => {
    expect(parseRecord(`\n${line}`, sizeBytes)).toEqual({ etag: undefined, ranges });
  });

  test("has the last ETag of several, and ranges in order", () => {
    expect(parseRecord('\netag "a"\n8 9\n1 3\netag "b"\n2 5\netag W/"c"', sizeBytes)).toEqual({
      etag: '"b"',
      ranges: [
        { start: 1, end: 5 },
        { start: 8, end: 9 },
      ],
    });
  });

  test.each([
    "0 5242881",
    "00000000000000000 4",
    " 0 4",
    "0 4 ",
    "0  4",
    'etag "a b"',
    'etag "a"b"',
    "etag abc",
    'etag x"abc"',
    'etag "abc"x',
    '5 "abc"',
    "0 99999999",
    "9 9",
    "9 1",
    "-1 4",
    "1.5 4",
    "0 4 9",
    "zero four",
    'etag W/"weak"',
    'etag "line',
    "\0\0\0",
  ])("ignores %j", (line) => {
    expect(parseRecord(`\n${line}`, sizeBytes)).toEqual({ etag: undefined, ranges: [] });
  });
});

describe("a hostile record", () => {
  const lines = (count: number, step: number) => Array.from({ length: count }, (_, i) => `${i * step} ${i * step + 1}`);

  test("of tens of thousands of lines takes linear time", () => {
    const text = lines(20_000, 1).toReversed().join("\n");
    expect(parseRecord(text, 1_000_000).ranges).toEqual([{ start: 0, end: 20_000 }]);
  });

  test("of more ranges than any download leaves counts as none", () => {
    const limits = { lines: 100, ranges: 3 };
    const parse = (text: string[]) => parseRecord(`etag "a"\n${text.join("\n")}`, 99, limits);
    expect(parse(lines(7, 2))).toEqual(emptyRecord);
    // Ranges that touch are one.
    expect(parse(lines(50, 1))).toEqual({ etag: '"a"', ranges: [{ start: 0, end: 50 }] });
    expect(parse(["0 1", ...lines(3, 2), ...lines(3, 2)]).ranges).toHaveLength(3);
  });

  test("of more lines than any download leaves counts as none", () => {
    const limits = { lines: 4, ranges: 3 };
    expect(parseRecord("0 4\n\n\n", 9, limits).ranges).toEqual([{ start: 0, end: 4 }]);
    expect(parseRecord("0 4\n\n\n\n", 9, limits)).toEqual(emptyRecord);
  });
});

describe("on disk", () => {
  let files: FakeFiles;
  let blob: string;
  const name = "blob.llmctl.ranges";
  beforeEach(async () => {
    files = await FakeFiles.create();
    blob = files.join("blob");
  });
  afterEach(() => files[Symbol.asyncDispose]());

  test("a record that is missing is empty", async () => {
    expect(await readRecord(blob, 9)).toEqual(emptyRecord);
  });

  test("a record that is larger than any of llmctl is empty", async () => {
    await writeFile(files.join(name), "\n0 4\n");
    await truncate(files.join(name), 2 ** 25 + 1);
    expect(await readRecord(blob, 9)).toEqual(emptyRecord);
  });

  test("a record that cannot be read is the system's error", async () => {
    await writeFile(files.join("file"), "");
    await expect(readRecord(files.join("file/blob"), 9)).rejects.toMatchObject({ code: "ENOTDIR" });
  });

  test("what is added is what a later run reads, behind a line that was cut off, too", async () => {
    await writeFile(files.join(name), '\netag "a"\n0 4\n90');
    const record = await PartRecord.open(blob, await readRecord(blob, 100), files.operations);
    await record.setEtag('"b"');
    for (const [start, end] of [
      [8, 12],
      [4, 8],
      [50, 60],
    ] as const)
      await record.addRange({ start, end });
    const now = { etag: record.etag, ranges: record.ranges };
    expect(now).toEqual({
      etag: '"b"',
      ranges: [
        { start: 0, end: 12 },
        { start: 50, end: 60 },
      ],
    });
    await record.close();
    expect(await readRecord(blob, 100)).toEqual(now);
  });

  test.each([null, "", 'W/"weak"', "bare", '"line\nbreak"', '"é"'])(
    "an ETag that If-Range must not send is not recorded: %j",
    async (etag) => {
      const record = await PartRecord.open(blob, emptyRecord, files.operations);
      await record.setEtag(etag);
      expect(record.etag).toBeUndefined();
      await record.close();
      expect(files.read()).toEqual({ [name]: "" });
    },
  );

  test("what could not be written down is not known either", async () => {
    const record = await PartRecord.open(blob, emptyRecord, files.operations);
    files.fault = () => "ENOSPC";
    await expect(record.addRange({ start: 0, end: 4 })).rejects.toMatchObject({ code: "ENOSPC" });
    await expect(record.setEtag('"a"')).rejects.toMatchObject({ code: "ENOSPC" });
    await expect(record.clear()).rejects.toMatchObject({ code: "ENOSPC" });
    expect({ etag: record.etag, ranges: record.ranges }).toEqual(emptyRecord);
    await record.close();
  });

  test("a record that is already gone can be removed", async () => {
    const record = await PartRecord.open(blob, emptyRecord, files.operations);
    await record.remove();
    await record.remove();
    await record.close();
    expect(files.read()).toEqual({});
  });
});
