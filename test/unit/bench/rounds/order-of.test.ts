import { describe, expect, test } from "vitest";
import { orderOf } from "../../../../src/bench/rounds/order-of.ts";

describe("the order of a round", () => {
  test("is turned each time for two: ABBA", () => {
    expect([0, 1, 2, 3].map((round) => orderOf(["a", "b"], round).join(""))).toEqual(["ab", "ba", "ab", "ba"]);
  });

  test("gives each of several every place equally often", () => {
    const labels = ["a", "b", "c"];
    const orders = Array.from({ length: 6 }, (_, round) => orderOf(labels, round));
    for (const place of [0, 1, 2]) {
      const inPlace = orders.map((order) => order[place]).toSorted((a = "", b = "") => a.localeCompare(b));
      expect(inPlace).toEqual(["a", "a", "b", "b", "c", "c"]);
    }
  });

  test("is that of one alone", () => {
    expect(orderOf(["a"], 7)).toEqual(["a"]);
  });
});
