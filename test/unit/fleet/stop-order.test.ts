import { describe, expect, test } from "vitest";
import { findDependents, startOrder, stopOrder } from "../../../src/fleet/stop-order.ts";

const dependencies = new Map([
  ["chat", ["embed", "rerank"]],
  ["rerank", ["embed"]],
  ["embed", []],
  ["other", []],
]);

test("startOrder starts each once, after those that it depends on", () => {
  const names = ["chat", "other", "embed", "rerank", "chat"];
  const order = startOrder(names, dependencies);
  expect(order.toSorted()).toEqual([...new Set(names)].toSorted());
  expect(order.filter((name) => name !== "other")).toEqual(["embed", "rerank", "chat"]);
});

describe("stopOrder", () => {
  test("stops dependents first, and independent profiles at the same time", () => {
    expect(stopOrder(["embed", "chat", "other", "rerank"], dependencies)).toEqual([
      ["chat", "other"],
      ["rerank"],
      ["embed"],
    ]);
  });

  test("follows dependencies through a profile that goes on or does not exist", () => {
    const chain = new Map([
      ["top", ["middle"]],
      ["middle", ["bottom"]],
    ]);
    expect(stopOrder(["bottom", "top"], chain)).toEqual([["top"], ["bottom"]]);
  });

  test("stops each once, even an unknown one, and all of a cycle at the same time", () => {
    expect(stopOrder(["x", "x"], dependencies)).toEqual([["x"]]);
    const circle = new Map([
      ["a", ["b"]],
      ["b", ["a"]],
    ]);
    expect(stopOrder(["a", "b"], circle)).toEqual([["a", "b"]]);
  });
});

test("dependents are the other running profiles that need one of the given ones", () => {
  expect(findDependents(["embed"], dependencies)).toEqual(["chat", "rerank"]);
  expect(findDependents(["embed", "rerank"], dependencies)).toEqual(["chat"]);
  expect(findDependents(["chat"], dependencies)).toEqual([]);
});
