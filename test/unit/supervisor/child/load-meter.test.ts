import { describe, expect, test } from "vitest";
import { LoadMeter } from "../../../../src/supervisor/child/load-meter.ts";
import { readBytesTaken } from "../../../../src/supervisor/state/process-identity.ts";

const files = [
  { path: "/a", sizeBytes: 600 },
  { path: "/b", sizeBytes: 400 },
];

/** Measures after each of these counters; the first one is the state before the load. */
function measure(...taken: [number, number, number][]): (number | undefined)[] {
  const rest = taken.map(([read, fetched, mapped]) => ({ read, fetched, mapped }));
  const meter = new LoadMeter(files, () => rest.shift());
  return taken.slice(1).map(() => meter.measure()?.doneBytes);
}

describe("the progress of a load", () => {
  test("takes the counter with the most bytes, without those from before the load", () => {
    expect(measure([50, 0, 70], [150, 0, 70], [150, 300, 70], [150, 300, 770])).toEqual([100, 300, 700]);
  });

  test("never decreases, even when a mapping is released", () => {
    expect(measure([0, 0, 0], [0, 0, 500], [0, 0, 100])).toEqual([500, 500]);
  });

  test("never reaches the total", () => expect(measure([0, 0, 0], [9000, 0, 0])).toEqual([990]));

  test("is unknown for a process that is gone and for a launch without files", () => {
    expect(new LoadMeter(files, () => undefined).measure()).toBeUndefined();
    expect(new LoadMeter([], () => ({ read: 1, fetched: 1, mapped: 1 })).measure()).toBeUndefined();
  });

  test("the kernel has all three counters", () => {
    expect(readBytesTaken(process.pid)).toEqual({
      read: expect.any(Number),
      fetched: expect.any(Number),
      mapped: expect.any(Number),
    });
    expect(readBytesTaken(process.pid)?.mapped).toBeGreaterThan(1 << 20);
    expect(readBytesTaken(2 ** 30)).toBeUndefined();
  });
});
