import { mkdir, mkdtemp, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { build, type BuildOptions } from "../../src/cli/get/build.ts";
import { writeFakeSource } from "../support/llama-source.ts";

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "llmctl-build-"));
  vi.stubEnv("LLMCTL_HOME", home);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  await rm(home, { recursive: true, force: true });
});

/** Runs the command. @returns what it wrote on stdout */
async function run(options: BuildOptions): Promise<string> {
  const write = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  try {
    await build(options);
    return write.mock.calls.map(([text]) => String(text)).join("");
  } finally {
    write.mockRestore();
  }
}

const makeSource = (note: string) => writeFakeSource(join(home, "source"), { note });

describe("llmctl build", () => {
  test("says that nothing is installed yet", async () => {
    expect(await run({ list: true })).toBe('no build of llama.cpp is installed; run "llmctl build"\n');
    expect(JSON.parse(await run({ list: true, json: true }))).toEqual({ builds: [], broken: [] });
  });

  test("installs under the data folder, shows the script's lines, and lists the build as the current one", async () => {
    const shown = await run({ source: await makeSource("one"), portable: true });
    expect(shown).toContain("test      8 tokens, 4 of 5 drafted accepted\n");
    expect(shown).not.toContain("manifest:");
    const id = await readlink(join(home, "data/llama.cpp/current"));
    const { builds } = JSON.parse(await run({ list: true, json: true })) as { builds: unknown[] };
    expect(builds).toMatchObject([{ id, current: true, portable: true, backend: "cpu", version: "0.0.1 (fake)" }]);
    expect(await run({ list: true })).toMatch(
      new RegExp(`^ +BUILD +VERSION +DATE\n\\* +${id} +0\\.0\\.1 \\(fake\\) +\\d{4}-\\d\\d-\\d\\d\n$`),
    );
  });

  test("--use changes the current build", async () => {
    await run({ source: await makeSource("one"), portable: true });
    const first = await readlink(join(home, "data/llama.cpp/current"));
    await run({ source: await makeSource("two"), portable: true });
    expect(await readlink(join(home, "data/llama.cpp/current"))).not.toBe(first);
    expect(await run({ use: first })).toBe(`current   ${first}\n`);
    expect(await readlink(join(home, "data/llama.cpp/current"))).toBe(first);
  });

  test("a failed build has the message, place, fix and exit code of the script", async () => {
    const stderr = vi.spyOn(process.stderr, "write").mockReturnValue(true);
    const source = await writeFakeSource(join(home, "source"), { compile: "fails" });
    await expect(run({ source, portable: true })).rejects.toMatchObject({
      code: "build-failed",
      message: "compiling llama.cpp failed",
      at: expect.stringMatching(/\.log$/),
      fix: expect.stringContaining("older host compiler"),
      exit: "failed",
    });
    expect(stderr.mock.calls.join("")).toContain("unsupported GNU version");
    await expect(run({ backend: "gpu" })).rejects.toMatchObject({ message: 'unknown backend "gpu"', exit: "usage" });
  });

  test("shows a broken build as such", async () => {
    await mkdir(join(home, "data/llama.cpp/old"), { recursive: true });
    await writeFile(join(home, "data/llama.cpp/old/manifest.json"), "{}");
    await symlink("old", join(home, "data/llama.cpp/current"));
    expect(await run({ list: true })).toMatch(/old +broken: manifest\.json: schema: /);
  });
});
