import { WriteStream } from "node:tty";
import { describe, expect, test } from "vitest";
import { ProgressBars } from "../../../../src/cli/screen/progress-bars.ts";

/** A stream that records its input. */
function fakeStream(isTTY: boolean, rows = 24): { stream: WriteStream; written: string[] } {
  const written: string[] = [];
  const stream = Object.assign(Object.create(WriteStream.prototype) as WriteStream, {
    isTTY,
    columns: 80,
    rows,
    write: (text: string) => written.push(text) > 0,
  });
  return { stream, written };
}

/** The lines of a draw on a terminal, without escape sequences. */
function linesOf(text: string | undefined): string[] {
  // oxlint-disable-next-line no-control-regex -- the codes of the terminal
  return (text ?? "").replaceAll(/\u001b\[\d*[AKJm]|\r/g, "").split("\n");
}

describe("on a terminal", () => {
  test("each file that moves has a bar, and the total comes last", () => {
    const { stream, written } = fakeStream(true);
    let nowMs = 0;
    const bars = new ProgressBars({ label: "total", stream, now: () => nowMs });
    for (const name of ["model 1/2", "model 2/2"]) bars.expect(name, 0, 50e9);
    for (; nowMs <= 2000; nowMs += 50) {
      bars.update("model 1/2", nowMs * 1e6, 50e9);
      bars.update("model 2/2", nowMs * 2e6, 50e9);
    }
    const [first, second, total, ...more] = linesOf(written.at(-1));
    expect(more).toEqual([]);
    expect(first).toMatch(/^model 1\/2 {2}█░+ {2}\d % of 50\.0 GB · 1\.0 GB\/s$/);
    expect(second).toMatch(/^model 2\/2 {2}██?░+ {2}\d % of 50\.0 GB · 2\.0 GB\/s$/);
    expect(total).toMatch(/^total {6}█░+ {2}\d % of 100\.0 GB · 3\.0 GB\/s · 31\.\d s left$/);
  });

  test("is drawn in place, and is cleared at the end", () => {
    const { stream, written } = fakeStream(true);
    let nowMs = 0;
    const bars = new ProgressBars({ label: "total", stream, now: () => nowMs });
    bars.update("a", 1, 10);
    nowMs = 200;
    bars.update("b", 1, 10);
    nowMs = 400;
    bars.update("b", 2, 10);
    expect(written[1]?.startsWith("\r\u001b[1A")).toBe(true);
    expect(written[2]?.startsWith("\r\u001b[2A")).toBe(true);
    bars.clear();
    bars.clear();
    expect(written.slice(3)).toEqual(["\r\u001b[2A\u001b[J"]);
  });

  test("a finished file has no bar, and still counts", () => {
    const { stream, written } = fakeStream(true);
    let nowMs = 0;
    const bars = new ProgressBars({ label: "total", stream, now: () => nowMs });
    bars.update("a", 10, 10);
    bars.finish("a");
    nowMs = 200;
    bars.update("b", 5, 10);
    expect(linesOf(written.at(-1)).map((line) => line.split("  ")[0])).toEqual(["b", "total"]);
    expect(linesOf(written.at(-1))[1]).toContain("75 % of 20 B");
  });

  test("a window that is too low shows as many bars as it has room for", () => {
    const { stream, written } = fakeStream(true, 5);
    let nowMs = 0;
    const bars = new ProgressBars({ label: "total", stream, now: () => nowMs });
    for (const name of ["a", "b", "c", "d"]) bars.update(name, 1, 10);
    nowMs = 200;
    bars.update("d", 2, 10);
    expect(linesOf(written.at(-1)).map((line) => line.split("  ")[0]?.trim())).toEqual([
      "a",
      "b",
      "and 2 more",
      "total",
    ]);
  });
});

test("elsewhere the total is a plain line every 10 s", () => {
  const { stream, written } = fakeStream(false);
  let nowMs = 0;
  const bars = new ProgressBars({ label: "total", stream, now: () => nowMs });
  bars.expect("b", 0, 50);
  for (; nowMs <= 25_000; nowMs += 500) bars.update("a", nowMs / 500, 50);
  bars.clear();
  expect(written).toEqual([
    "total  20 % of 100 B · 2 B/s · 40.0 s left\n",
    "total  40 % of 100 B · 2 B/s · 30.0 s left\n",
  ]);
});
