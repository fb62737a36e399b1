import { describe, expect, test } from "vitest";
import { describeShortage, findRoom, type ServerNeed } from "../../../../src/bench/servers/room-for-servers.ts";

function need(uses: Readonly<Record<string, readonly [needs: number, free: number]>>, isMapped = true): ServerNeed {
  return {
    label: "any",
    fileBytes: 100 * 2 ** 20,
    isMapped,
    uses: Object.entries(uses).map(([device, [needsMib, freeMib]]) => ({ device, needsMib, freeMib, totalMib: 1000 })),
  };
}

describe("room for the servers of a comparison", () => {
  test("is for all where each memory holds the sum", () => {
    const needs = [need({ CUDA0: [400, 1000], Host: [50, 500] }), need({ CUDA0: [600, 1000], Host: [60, 500] })];
    expect(findRoom(needs, true)).toEqual({ fits: "all" });
  });

  test("is for one where a device holds each and not both", () => {
    const needs = [need({ CUDA0: [400, 999] }), need({ CUDA0: [600, 999] })];
    expect(findRoom(needs, true)).toEqual({
      fits: "one",
      why: "CUDA0 has 999 MiB free, 1000 MiB are needed for all at once",
    });
  });

  test("is for none where something else has the device; the largest shortage is told", () => {
    const needs = [need({ CUDA0: [400, 350], CUDA1: [400, 100] }), need({ CUDA0: [600, 350] })];
    expect(findRoom(needs, true)).toEqual({
      fits: "none",
      shortage: expect.objectContaining({ device: "CUDA1", needsMib: 400, freeMib: 100 }),
    });
  });

  test("counts the mapped pages of the target once in RAM", () => {
    expect(findRoom([need({ Host: [120, 145] }), need({ Host: [124, 145] })], false)).toEqual({ fits: "all" });
    expect(findRoom([need({ Host: [120, 143] }), need({ Host: [124, 143] })], false)).toMatchObject({ fits: "one" });
    expect(findRoom([need({ Host: [120, 200] }, false), need({ Host: [124, 200] }, false)], false)).toEqual({
      fits: "one",
      why: "RAM has 200 MiB free, 244 MiB are needed for all at once",
    });
  });

  test("is for one, however slow, where mapped pages do not fit into RAM; for none where they are not mapped", () => {
    expect(findRoom([need({ Host: [120, 100] })], false)).toMatchObject({ fits: "one" });
    expect(findRoom([need({ Host: [120, 100] }, false)], false)).toMatchObject({ fits: "none" });
  });

  test("is for one where the need is not known and a device computes; without devices for all", () => {
    expect(findRoom([need({}), need({})], true)).toMatchObject({ fits: "one" });
    expect(findRoom([need({}), need({})], false)).toEqual({ fits: "all" });
  });

  test("is told in MiB of a named memory", () => {
    expect(describeShortage({ device: "Host", needsMib: 10.4, freeMib: 5.6 })).toBe(
      "RAM has 6 MiB free, 10 MiB are needed",
    );
  });
});
