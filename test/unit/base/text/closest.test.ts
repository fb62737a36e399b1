import { describe, expect, test } from "vitest";
import { findClosest } from "../../../../src/base/text/closest.ts";

const keys = ["ctx_size", "parallel", "threads", "hf"];

describe("findClosest", () => {
  test.each([
    ["ctx_sise", "ctx_size"],
    ["ctxsize", "ctx_size"],
    ["paralel", "parallel"],
    ["thread", "threads"],
    ["hv", "hf"],
    ["fh", "hf"],
  ])("takes %j for %j", (word, meant) => {
    expect(findClosest(word, keys)).toBe(meant);
  });

  test.each(["temperature", "x", "", "gpu"])("suggests nothing for %j", (word) => {
    expect(findClosest(word, keys)).toBeUndefined();
  });

  test("suggests nothing when nothing is known", () => {
    expect(findClosest("ctx_size", [])).toBeUndefined();
  });
});

test("names of any length and number are compared in bounded time", () => {
  const known = Array.from({ length: 100_000 }, (_, i) => `${"x".repeat(1000)}${i}`);
  expect(findClosest("x".repeat(1000), known)).toBeUndefined();
  expect(findClosest("y".repeat(1_000_000), ["y".repeat(1_000_001)])).toBeUndefined();
  expect(findClosest("ctx_sise", [...known, "ctx_size"].toReversed())).toBe("ctx_size");
});
