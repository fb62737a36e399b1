import { PassThrough, Readable } from "node:stream";
import { expect, test } from "vitest";
import { readLines } from "../../../../src/base/files/read-lines.ts";

async function collect(stream: Readable): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of readLines(stream)) lines.push(line);
  return lines;
}

test("splits at line ends, wherever the chunks end", async () => {
  const bytes = Buffer.from("one\ntwö\n\nthree\n");
  for (let size = 1; size <= bytes.length; size += 1) {
    const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
      bytes.subarray(i * size, (i + 1) * size),
    );
    expect(await collect(Readable.from(pieces, { objectMode: false }))).toEqual(["one", "twö", "", "three"]);
  }
});

test("an incomplete last line is dropped", async () => {
  expect(await collect(Readable.from(['{"a":1}\n{"b"']))).toEqual(['{"a":1}']);
});

test.each([undefined, new Error("reset")])("a stream that is destroyed ends the lines: %s", async (error) => {
  const stream = new PassThrough();
  stream.write("one\n");
  const lines: string[] = [];
  for await (const line of readLines(stream)) {
    lines.push(line);
    stream.destroy(error);
  }
  expect(lines).toEqual(["one"]);
});

test("a reader that stops destroys the stream", async () => {
  const stream = new PassThrough();
  stream.write("one\ntwo\n");
  for await (const line of readLines(stream)) if (line === "one") break;
  expect(stream.destroyed).toBe(true);
});

test("an endless line is refused, and its stream is closed", async () => {
  let sent = 0;
  const stream = Readable.from(
    (function* endless() {
      for (;;) {
        sent += 1;
        yield "x".repeat(1000);
      }
    })(),
  );
  const reading = (async () => {
    for await (const line of readLines(stream, 10_000)) expect(line).toBeUndefined();
  })();
  await expect(reading).rejects.toMatchObject({ code: "line-too-long" });
  expect(stream.destroyed).toBe(true);
  expect(sent).toBeLessThan(100);
});

test("a long line in small chunks is joined once", async () => {
  const pieces = Array.from({ length: 200_000 }, () => Buffer.from("ä"));
  const lines = await collect(Readable.from([...pieces, Buffer.from("\n")], { objectMode: true }));
  expect(lines).toEqual(["ä".repeat(200_000)]);
});
