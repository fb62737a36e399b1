import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { sealEnv } from "../../../../src/llama/plan/seal-env.ts";

let folder: string;
let keyFile: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "llmctl-seal-"));
  keyFile = join(folder, ".hash-key");
});
afterEach(() => {
  chmodSync(folder, 0o700);
  rmSync(folder, { recursive: true });
});

const env = { HF_TOKEN: "s3cret", CUDA_VISIBLE_DEVICES: "1" };

describe("the variables of a profile in the hash of its launch", () => {
  test("are sealed by a secret that is made once, and that only the user can read", async () => {
    const sealed = await sealEnv(env, folder);
    expect(sealed).toMatch(/^[0-9a-f]{64}$/);
    expect(readFileSync(keyFile, "utf8")).toMatch(/^[0-9a-f]{64}\n$/);
    expect(statSync(keyFile).mode & 0o777).toBe(0o600);
    const key = readFileSync(keyFile, "utf8");
    expect(await sealEnv({ ...env }, folder)).toBe(sealed);
    expect(readFileSync(keyFile, "utf8")).toBe(key);
  });

  test.each([
    ["another value", { ...env, HF_TOKEN: "other" }],
    ["another name", { HF_OTHER: "s3cret", CUDA_VISIBLE_DEVICES: "1" }],
    ["one more", { ...env, A: "" }],
  ])("are sealed to another text with %s", async (_, other) => {
    expect(await sealEnv(other, folder)).not.toBe(await sealEnv(env, folder));
  });

  test("are sealed to another text with the secret of another user", async () => {
    const sealed = await sealEnv(env, folder);
    writeFileSync(keyFile, `${"0".repeat(64)}\n`);
    expect(await sealEnv(env, folder)).not.toBe(sealed);
    expect(readFileSync(keyFile, "utf8")).toBe(`${"0".repeat(64)}\n`);
  });

  test("are the same empty text where there are none, and then no secret is made", async () => {
    expect(await sealEnv({}, folder)).toBe("");
    expect(readdirSync(folder)).toEqual([]);
  });

  test.each([
    ["a file where the folder should be", () => writeFileSync(join(folder, "data"), ""), "data"],
    [
      "a folder where the secret should be",
      () => mkdirSync(join(folder, "data/.hash-key"), { recursive: true }),
      "data",
    ],
    ["a secret that is none", () => writeFileSync(keyFile, "short\n"), "."],
  ])("count with their names alone where no secret can be kept: %s", async (_, spoil, name) => {
    spoil();
    expect(await sealEnv(env, join(folder, name))).toBe("HF_TOKEN CUDA_VISIBLE_DEVICES");
  });
});
