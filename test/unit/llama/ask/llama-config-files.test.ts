import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findLlamaConfigFiles } from "../../../../src/llama/ask/llama-config-files.ts";

describe("config files of llama.cpp", () => {
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "llmctl-config-"));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  async function write(where: string, text: string): Promise<string> {
    const path = join(folder, where, "llama.cpp", "config.ini");
    await mkdir(join(path, ".."), { recursive: true });
    await writeFile(path, text);
    return path;
  }

  test("none", async () => {
    expect(await findLlamaConfigFiles({ HOME: join(folder, "home") }, join(folder, "etc"))).toEqual([]);
  });

  test("of the system and of the user, with the names of what they set", async () => {
    const etc = await write(
      "etc",
      "; all\nctx-size = 1\n# x = y\n[*]\ntemp=0.3\n[default]\r\napi-key = s3cret\n[some-model]\nseed = 3\n",
    );
    const user = await write("home/.config", "temp = 1\n");
    expect(await findLlamaConfigFiles({ HOME: join(folder, "home") }, join(folder, "etc"))).toEqual([
      { path: etc, settings: ["ctx-size", "temp", "api-key"] },
      { path: user, settings: ["temp"] },
    ]);
  });

  test("XDG_CONFIG_HOME comes before HOME, and counts only when the child has it", async () => {
    const user = await write("xdg", "temp = 1\n");
    const found = await findLlamaConfigFiles(
      { HOME: join(folder, "home"), XDG_CONFIG_HOME: join(folder, "xdg") },
      join(folder, "etc"),
    );
    expect(found.map(({ path }) => path)).toEqual([user]);
  });
});

describe("a hostile config file of llama.cpp", () => {
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "llmctl-config-"));
    await mkdir(join(folder, "llama.cpp"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  test("with lines of blanks takes linear time", async () => {
    await writeFile(
      join(folder, "llama.cpp", "config.ini"),
      `x${" ".repeat(500_000)}y\n${" ".repeat(400_000)}\nctx-size = 5\n`,
    );
    expect((await findLlamaConfigFiles({}, folder))[0]?.settings).toEqual(["ctx-size"]);
  });

  test("that is too large is told, and not read", async () => {
    await writeFile(join(folder, "llama.cpp", "config.ini"), "a = 1\n".repeat(1_000_000));
    expect((await findLlamaConfigFiles({}, folder))[0]?.settings).toEqual(["(too large to be read)"]);
  });
});
