import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { bufferSource } from "../../../src/gguf/byte-source.ts";
import { limits } from "../../../src/gguf/limits.ts";
import { readHeaderFrom } from "../../../src/gguf/read-header.ts";
import { ggufFuzzer, mostBytes, strictSource } from "../../fuzz/gguf.ts";
import { Random, seedOf } from "../../fuzz/random.ts";
import { buildGguf } from "../../support/gguf-builder.ts";

/** Sizes around those at which the reader's window grows. */
const sizesBytes = [2 ** 17, 2 ** 24 + 1, 33 * 2 ** 20, 65 * 2 ** 20];

const { counts, outcomes: wanted } = ggufFuzzer;
const seed = 20_260_928;

test(`${counts.short} mutated headers of seed ${seed} are read as a plain reader reads them, or refused`, async () => {
  await using session = await ggufFuzzer.open();
  const outcomes = new Set<string>();
  for (let index = 0; index < counts.short; index += 1) {
    try {
      outcomes.add(await session.attempt(new Random(seedOf(seed, index))));
    } catch (cause) {
      throw new Error(`again: npm run test:fuzz -- --only gguf --seed ${seed} --first ${index} --count 1`, { cause });
    }
  }
  // The mutations must reach deep: if all were refused at the magic, the test would show nothing.
  expect([...outcomes].toSorted()).toEqual(wanted.toSorted());
});

describe("memory", () => {
  test.each(sizesBytes)(
    "a header of %i bytes takes at most four times its size, and 16 MB",
    { timeout: 60_000 },
    async (size) => {
      const start = buildGguf({ metadata: { filler: "" } });
      start.writeBigUInt64LE(BigInt(size), start.length - 8);
      const header = await readHeaderFrom(strictSource(start, start.length + size));
      expect(header.dataOffset).toBe(start.length + size);
    },
  );

  test("the maximum of smallest keys and tensors takes at most four times the file, and 16 MB", async () => {
    const name = (index: number) => index.toString(36);
    const bytes = buildGguf({
      metadata: Object.fromEntries(
        Array.from({ length: limits.keys }, (_, index) => [`k${name(index)}`, { type: "uint8", value: 1 }]),
      ),
      tensors: Array.from({ length: limits.tensors }, (_, index) => ({
        name: name(index),
        ne: [],
        data: new Uint8Array(0),
        type: 200,
      })),
    });
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    collect();
    const before = process.memoryUsage();
    const header = await readHeaderFrom(bufferSource(bytes, "model.gguf"));
    collect();
    const after = process.memoryUsage();
    expect(header.tensors).toHaveLength(limits.tensors);
    expect(after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers).toBeLessThan(
      mostBytes(bytes.length),
    );
  });
});
