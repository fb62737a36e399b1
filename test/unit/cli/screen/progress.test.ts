import { WriteStream } from "node:tty";
import { describe, expect, test } from "vitest";
import { formatSize } from "../../../../src/base/text/units.ts";
import { formatProgress, ProgressLine } from "../../../../src/cli/screen/progress.ts";

const files = (amount: number) => `${amount} files`;

describe("formatProgress", () => {
  const progress = { label: "compile", unit: files, done: 80, total: 210, perSecond: 1.4 };

  test("shows a bar if it fits, else only the numbers, and never exceeds the width", () => {
    const facts = "38 % of 210 files · 1.4 files/s · 1 min 33 s left";
    expect(formatProgress(progress, 100)).toBe(`compile  █████████░░░░░░░░░░░░░░░  ${facts}`);
    expect(formatProgress(progress, 60)).toBe(`compile  ${facts}`);
    expect(formatProgress(progress, 20)).toHaveLength(20);
    expect(formatProgress(progress)).toBe(`compile  ${facts}`);
  });

  test("shows amount and rate without a total, and no time left without a rate", () => {
    expect(formatProgress({ label: "get", unit: formatSize, done: 5e6, perSecond: 1e6 }, 80)).toBe(
      "get  5.0 MB · 1.0 MB/s",
    );
    expect(formatProgress({ ...progress, perSecond: undefined })).toBe("compile  38 % of 210 files");
  });

  test("handles an empty and an exceeded total", () => {
    expect(formatProgress({ ...progress, done: 0, total: 0, perSecond: undefined })).toBe("compile  0 % of 0 files");
    expect(formatProgress({ ...progress, done: 300, perSecond: 1 })).toBe("compile  100 % of 210 files · 1 files/s");
  });
});

/** A stream that records its input. */
function fakeStream(isTTY: boolean): { stream: WriteStream; written: string[] } {
  const written: string[] = [];
  const stream = Object.assign(Object.create(WriteStream.prototype) as WriteStream, {
    isTTY,
    columns: 80,
    write: (text: string) => written.push(text) > 0,
  });
  return { stream, written };
}

describe("ProgressLine", () => {
  test("is drawn in place on a terminal, at most every 100 ms, and cleared", () => {
    const { stream, written } = fakeStream(true);
    let nowMs = 0;
    const line = new ProgressLine({ label: "get", total: 100, unit: files, stream, now: () => nowMs });
    for (; nowMs < 1000; nowMs += 10) line.update(nowMs / 10);
    expect(written).toHaveLength(10);
    expect(written.every((text) => text.startsWith("\r") && text.endsWith("\u001b[K") && !text.includes("\n"))).toBe(
      true,
    );
    expect(written.at(-1)).toContain("90 % of 100 files · 100 files/s · 100 ms left");
    line.clear();
    line.clear();
    expect(written.slice(10)).toEqual(["\r\u001b[K"]);
  });

  test("is one plain line every 10 s elsewhere", () => {
    const { stream, written } = fakeStream(false);
    let nowMs = 0;
    const line = new ProgressLine({ label: "get", total: 100, unit: files, stream, now: () => nowMs });
    for (; nowMs <= 35_000; nowMs += 500) line.update(nowMs / 1000);
    line.clear();
    expect(written).toEqual([
      "get  10 % of 100 files · 1 files/s · 1 min 30 s left\n",
      "get  20 % of 100 files · 1 files/s · 1 min 20 s left\n",
      "get  30 % of 100 files · 1 files/s · 1 min 10 s left\n",
    ]);
  });

  test("follows a change of speed", () => {
    const { stream, written } = fakeStream(false);
    let nowMs = 0;
    let done = 0;
    const line = new ProgressLine({ label: "get", unit: files, stream, now: () => nowMs });
    for (; nowMs <= 60_000; nowMs += 1000) line.update((done += nowMs < 30_000 ? 100 : 2));
    expect(written.at(-1)).toContain("· 2 files/s");
  });
});
