import { describe, expect, test } from "vitest";
import { firstShard, listShardNames, parseShardName } from "../../../../src/hub/find/shard-names.ts";

describe("parseShardName", () => {
  test("reads the numbers and keeps the folder in the prefix", () => {
    expect(parseShardName("UD-Q2_K_XL/GLM-00002-of-00003.gguf")).toEqual({
      prefix: "UD-Q2_K_XL/GLM",
      index: 2,
      count: 3,
    });
  });

  test.each([
    "model.gguf",
    "model-1-of-3.gguf",
    "model-00000-of-00003.gguf",
    "model-00004-of-00003.gguf",
    "model-00001-of-00003.gguf.part",
  ])("does not take %s for a shard", (name) => {
    expect(parseShardName(name)).toBeUndefined();
  });
});

describe("listShardNames", () => {
  test("names the whole set from any of its shards", () => {
    const set = ["/m/a-00001-of-00003.gguf", "/m/a-00002-of-00003.gguf", "/m/a-00003-of-00003.gguf"];
    expect(set.map(listShardNames)).toEqual([set, set, set]);
  });

  test("gives only the file when it is no shard", () => {
    expect(listShardNames("/m/a.gguf")).toEqual(["/m/a.gguf"]);
  });

  test("keeps the letter case of the extension", () => {
    expect(listShardNames("a-00001-of-00002.GGUF")).toEqual(["a-00001-of-00002.GGUF", "a-00002-of-00002.GGUF"]);
  });
});

describe("firstShard", () => {
  test("names the first of the set, and a file that is no shard itself", () => {
    expect(firstShard("/m/a-00002-of-00003.GGUF")).toBe("/m/a-00001-of-00003.GGUF");
    expect(firstShard("/m/a.gguf")).toBe("/m/a.gguf");
  });

  test("does not list a set that is too large", () => {
    expect(firstShard("a-99998-of-99999.gguf")).toBe("a-00001-of-99999.gguf");
    expect(() => listShardNames("a-99998-of-99999.gguf")).toThrow(
      '"a-99998-of-99999.gguf" claims to be one of 99999 shards, more than 4096',
    );
  });
});
