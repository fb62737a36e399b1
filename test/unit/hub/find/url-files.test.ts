import { describe, expect, test } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import { listUrlFiles } from "../../../../src/hub/find/url-files.ts";
import type { UrlModelRef } from "../../../../src/profiles/schema/schema.ts";

const list = (ref: UrlModelRef) => listUrlFiles(ref, { urlFolder: "/data/models", at: "p.yaml:1:1" });
const namesOf = (url: string) => list({ url }).map(({ name }) => name);

function failure(ref: UrlModelRef): LlmctlError {
  try {
    list(ref);
  } catch (error) {
    if (error instanceof LlmctlError) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

test("a file is kept under its own name, with a prefix from its address", () => {
  const [one] = list({ url: "https://a.example/m.gguf" });
  const [other] = list({ url: "https://b.example/m.gguf" });
  expect(one).toMatchObject({ url: "https://a.example/m.gguf", name: "m.gguf", digest: undefined });
  expect(one?.path).toMatch(/^\/data\/models\/[0-9a-f]{12}-m\.gguf$/);
  expect(other?.path).not.toBe(one?.path);
});

test.each([
  ["https://h/a%20b%2F..%2Fc.gguf", "a_b_.._c.gguf"],
  ["https://h/get?id=7", "get.gguf"],
  ["https://h/", ".gguf"],
  ["https://h/50%.gguf", "50_.gguf"],
  [`https://h/${"x".repeat(300)}.gguf`, `${"x".repeat(145)}.gguf`],
])("the name of %s stays in the folder", (url, name) => {
  expect(namesOf(url)).toEqual([name]);
});

describe("a split set", () => {
  const first = "https://h/m-00001-of-00002.gguf?key=1";

  test("has all its shards in one folder, with their digests in order", () => {
    const files = list({ url: first, sha256: ["A".repeat(64), "b".repeat(64)] });
    expect(files.map(({ url }) => url)).toEqual([first, "https://h/m-00002-of-00002.gguf?key=1"]);
    expect(files.map(({ digest }) => digest)).toEqual(["a".repeat(64), "b".repeat(64)]);
    expect(files[1]?.path).toBe(files[0]?.path.replace("00001-of", "00002-of"));
  });

  test("is named by its first shard", () => {
    expect(failure({ url: "https://h/m-00002-of-00002.gguf" })).toMatchObject({
      code: "not-first-shard",
      exit: "config",
      at: "p.yaml:1:1",
      fix: 'name "https://h/m-00001-of-00002.gguf"',
    });
  });

  test.each([
    ["a".repeat(64), '"https://h/m-00001-of-00002.gguf" is a model of 2 files, but the profile has one sha256'],
    [
      Array(3).fill("a".repeat(64)) as string[],
      '"https://h/m-00001-of-00002.gguf" is a model of 2 files, but the profile has 3 sha256',
    ],
  ])("has a digest for each file or none", (sha256, message) => {
    expect(failure({ url: first, sha256 })).toMatchObject({ code: "bad-sha256", exit: "config", message });
  });
});
