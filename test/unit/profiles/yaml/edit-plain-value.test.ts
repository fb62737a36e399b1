import { describe, expect, test } from "vitest";
import { withKey, withoutKey } from "../../../../src/profiles/yaml/edit-plain-value.ts";
import type { KeyPath } from "../../../../src/profiles/yaml/located.ts";

describe("a value with a key", () => {
  test.each<[unknown, KeyPath, unknown]>([
    [{ a: 1, b: 2 }, ["a"], { a: "new", b: 2 }],
    [{ a: 1 }, ["b", "c"], { a: 1, b: { c: "new" } }],
    [{ a: { b: 1, c: 2 } }, ["a", "b"], { a: { b: "new", c: 2 } }],
    [{ a: null }, ["a", "b"], { a: { b: "new" } }],
    [undefined, ["a"], { a: "new" }],
    [null, ["a"], { a: "new" }],
    [[1, 2, 3], [1], [1, "new", 3]],
    [{ a: [{ b: 1 }] }, ["a", 0, "b"], { a: [{ b: "new" }] }],
    [{ a: 1 }, [], "new"],
  ])("%j with %j is %j", (plain, path, expected) => {
    expect(withKey(plain, path, "new")).toEqual(expected);
  });

  test.each<[unknown, KeyPath]>([
    [{ a: "text" }, ["a", "b"]],
    [{ a: 0 }, ["a", "b"]],
    [{ a: [1] }, ["a", "b"]],
    [[1], ["a"]],
    [[1], [1]],
    [[], [0]],
    [{ 0: 1 }, [0]],
    [undefined, [0]],
    ["text", [0]],
    [{ a: [1] }, ["a", 0, "b"]],
    [{ a: { b: [1] } }, ["a", "b", 1]],
  ])("%j cannot have %j", (plain, path) => {
    expect(withKey(plain, path, "new")).toBeUndefined();
  });

  test("leaves the value itself unchanged", () => {
    const plain = { a: { b: [1] } };
    withKey(plain, ["a", "b", 0], 2);
    expect(plain).toEqual({ a: { b: [1] } });
  });
});

describe("a value without a key", () => {
  test.each<[unknown, KeyPath, unknown]>([
    [{ a: 1, b: 2 }, ["a"], { b: 2 }],
    [{ a: { b: 1, c: 2 } }, ["a", "b"], { a: { c: 2 } }],
    [{ a: { b: { c: 1 } }, d: 1 }, ["a", "b", "c"], { d: 1 }],
    [{ a: { b: { c: 1 }, d: 1 } }, ["a", "b", "c"], { a: { d: 1 } }],
    [{ a: 1 }, ["a"], {}],
    [{ a: { b: 1 } }, ["a", "b"], {}],
    [{ a: { b: {} }, c: 1 }, ["a", "b"], { c: 1 }],
    [{ a: null }, ["a"], {}],
  ])("%j without %j is %j", (plain, path, expected) => {
    expect(withoutKey(plain, path)).toEqual(expected);
  });

  test.each<[unknown, KeyPath]>([
    [{ a: 1 }, ["b"]],
    [{ a: 1 }, ["a", "b"]],
    [{ a: { b: 1 } }, ["a", "c"]],
    [{ a: null }, ["a", "b"]],
    [{ a: [1] }, ["a", 0]],
    [[1], [0]],
    [[1], ["length"]],
    [{ 0: 1 }, [0]],
    [{ a: 1 }, ["toString"]],
    [null, ["a"]],
    ["text", ["length"]],
    [{ a: 1 }, []],
  ])("%j does not have %j", (plain, path) => {
    expect(withoutKey(plain, path)).toBeUndefined();
  });
});
