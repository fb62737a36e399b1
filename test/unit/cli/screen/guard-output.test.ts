import { WriteStream } from "node:tty";
import fc from "fast-check";
import { expect, test } from "vitest";
import { forLineEditor, guardOutput, writeExact } from "../../../../src/cli/screen/guard-output.ts";
import { paint } from "../../../../src/cli/screen/paint.ts";
import { ProgressBars } from "../../../../src/cli/screen/progress-bars.ts";
import { findHostile, hostileText } from "../../../support/hostile-text.ts";

/** A guarded stream that records its output. */
function guardedStream(isTTY = true): { stream: WriteStream; written: (string | Uint8Array)[] } {
  const written: (string | Uint8Array)[] = [];
  const stream = Object.assign(Object.create(WriteStream.prototype) as WriteStream, {
    isTTY,
    columns: 80,
    rows: 24,
    write: (text: string | Uint8Array) => written.push(text) > 0,
  });
  guardOutput(stream);
  return { stream, written };
}

test("llmctl's own colours pass, the same ones in foreign text do not", () => {
  const { stream, written } = guardedStream();
  stream.write(`${paint("red", "a\u001b[31mb", stream)}\u001b[31mc\n`);
  expect(written.join("")).toBe(`\u001b[31ma${String.raw`\x1b[31m`}b\u001b[39m${String.raw`\x1b[31m`}c\n`);
});

test("text after one of llmctl's colours is foreign", () => {
  const { stream, written } = guardedStream();
  stream.write(paint("dim", "\u001b[8m\r\u001b[2J", stream));
  expect(written.join("")).toBe(`\u001b[2m${String.raw`\x1b[8m\r\x1b[2J`}\u001b[22m`);
});

test("no character that a terminal obeys is left, in texts and in bytes", () => {
  fc.assert(
    fc.property(fc.array(hostileText), (texts) => {
      const { stream, written } = guardedStream(false);
      for (const text of texts) {
        stream.write(`${paint("red", text, stream)}\n`);
        stream.write(Buffer.from(text));
      }
      expect(findHostile(written.join(""))).toBeUndefined();
    }),
    { numRuns: 500 },
  );
});

test("bars are drawn for any file name", () => {
  const { stream, written } = guardedStream();
  let nowMs = 0;
  const bars = new ProgressBars({ label: "total", stream, now: () => nowMs });
  for (const name of ["a\u001b[2J", "b\u009b2J"]) for (; nowMs < 2000; nowMs += 200) bars.update(name, nowMs, 1e4);
  bars.clear();
  const text = written.join("");
  expect(text).toContain("\r\u001b[1A");
  // oxlint-disable-next-line no-control-regex -- what bars are drawn with
  expect(findHostile(text.replaceAll(/\r|\u001b\[\d*[AKJm]/g, ""))).toBeUndefined();
  expect(text).not.toContain("[2J\u001b");
});

test("an emoji that arrives in pieces stays one", () => {
  const { stream, written } = guardedStream();
  for (const piece of ["the 👩", "\u200d", "💻 ❤", "\ufe0f ", "می", "\u200c", "خواهم"]) stream.write(piece);
  expect(written.join("")).toBe("the 👩‍💻 ❤️ می‌خواهم");
  written.length = 0;
  for (const piece of ["👩", "\u200d", "💻"]) stream.write(paint("dim", piece, stream));
  // oxlint-disable-next-line no-control-regex -- our own colours
  expect(written.join("").replaceAll(/\u001b\[\d+m/g, "")).toBe("👩‍💻");
});

test("chunks that end within a character are joined", () => {
  const { stream, written } = guardedStream();
  const bytes = Buffer.from("é😀\u009b");
  for (const byte of bytes) stream.write(Uint8Array.of(byte));
  expect(written.join("")).toBe(String.raw`é😀\x9b`);
});

test("a callback is called, and the answer is the stream's own", () => {
  const calls: unknown[][] = [];
  const stream = Object.assign(Object.create(WriteStream.prototype) as WriteStream, {
    write: (...args: unknown[]) => {
      calls.push(args);
      return false;
    },
  });
  guardOutput(stream);
  const done = () => undefined;
  expect(stream.write("\u0007", "latin1", done)).toBe(false);
  expect(calls).toEqual([[String.raw`\x07`, done]]);
});

test("the line editor and raw logs write unchanged, even with two guards", () => {
  const { stream, written } = guardedStream();
  guardOutput(stream);
  forLineEditor(stream).write("\u001b[1G");
  writeExact(stream, "\u001b[0J");
  stream.write("\u0007");
  expect(written).toEqual(["\u001b[1G", "\u001b[0J", String.raw`\x07`]);
});
