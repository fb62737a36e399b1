import { describe, expect, test } from "vitest";
import { findDependents, stopOrder } from "../../../src/fleet/stop-order.ts";

const dependencies = new Map([
  ["chat", ["embed", "rerank"]],
  ["rerank", ["embed"]],
  ["embed", []],
  ["other", []],
]);

describe("stopOrder", () => {
  test("stops what depends on others first, and what does not at the same time", () => {
    expect(stopOrder(["embed", "chat", "other", "rerank"], dependencies)).toEqual([
      ["chat", "other"],
      ["rerank"],
      ["embed"],
    ]);
  });

  test("sees a dependency by way of one that goes on or is not there", () => {
    const chain = new Map([
      ["top", ["middle"]],
      ["middle", ["bottom"]],
    ]);
    expect(stopOrder(["bottom", "top"], chain)).toEqual([["top"], ["bottom"]]);
  });

  test("stops each once, also one that is not known, and a circle all at once", () => {
    expect(stopOrder(["x", "x"], dependencies)).toEqual([["x"]]);
    const circle = new Map([
      ["a", ["b"]],
      ["b", ["a"]],
    ]);
    expect(stopOrder(["a", "b"], circle)).toEqual([["a", "b"]]);
  });
});

test("dependents are those that run, need one of these and are not among them", () => {
  expect(findDependents(["embed"], dependencies)).toEqual(["chat", "rerank"]);
  expect(findDependents(["embed", "rerank"], dependencies)).toEqual(["chat"]);
  expect(findDependents(["chat"], dependencies)).toEqual([]);
});
