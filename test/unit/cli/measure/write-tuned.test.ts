import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { findPaths } from "../../../../src/base/files/paths.ts";
import { writeTuned } from "../../../../src/cli/measure/write-tuned.ts";
import { loadProfile } from "../../../../src/profiles/load.ts";
import { ProfileFolder } from "../../../support/profile-folder.ts";

const mine = "model: /m.gguf\ndraft: # small\n  model: /d.gguf\n  n_max: 16\n";

let folder: ProfileFolder;
let [out, err] = ["", ""];

beforeEach(async () => {
  [out, err] = ["", ""];
  folder = await ProfileFolder.create({ "near/mine.yaml": mine });
  vi.spyOn(process.stdout, "write").mockImplementation((text) => ((out += String(text)), true));
  vi.spyOn(process.stderr, "write").mockImplementation((text) => ((err += String(text)), true));
});
afterEach(() => folder[Symbol.asyncDispose]());

const draft = { type: "draft-simple", on_mismatch: "disable", on_loss: "warn", model: "/d.gguf", n_max: 4 } as const;

async function write(options: Partial<Parameters<typeof writeTuned>[1]> = {}): Promise<string> {
  const home = join(folder.cwd, "home");
  const path = join(folder.cwd, "near", "mine.yaml");
  await writeTuned(path, {
    paths: findPaths({ HOME: home, LLMCTL_HOME: home }, 1000),
    load: folder.options(),
    measured: await loadProfile(path, folder.options()),
    draft,
    build: "v0.5.0",
    result: "1.31 × (1.24 to 1.38) against no draft",
    yes: true,
    dryRun: false,
    ...options,
  });
  return readFile(join(folder.cwd, "near", "mine.yaml"), "utf8");
}

const day = new Date().toISOString().slice(0, 10);

test("the winner is shown as a difference and written, with a dated comment", async () => {
  expect(await write()).toBe(
    `model: /m.gguf\n# tuned ${day} on v0.5.0: 1.31 × (1.24 to 1.38) against no draft; llmctl tune\n` +
      "draft: # small\n  model: /d.gguf\n  n_max: 4\n",
  );
  expect(out).toContain("-  n_max: 16\n");
  expect(out).toContain("+  n_max: 4\n");
  expect(out).toMatch(/wrote .*mine\.yaml\n/);
});

test("what is only shown is not written", async () => {
  expect(await write({ dryRun: true })).toBe(mine);
  expect(out).toContain("+  n_max: 4\n");
  expect(out).not.toContain("wrote");
});

test("without a terminal nothing is written unasked, and what to add is said", async () => {
  expect(await write({ yes: false })).toBe(mine);
  expect(err).toBe("nothing was written: there is no terminal to ask on; add --yes\n");
});

test("drafting that does not pay leaves its lines as comments", async () => {
  const text = await write({ draft: undefined, result: "drafting does not pay: 0.81 × (0.78 to 0.85)" });
  expect(text).toContain("drafting does not pay: 0.81 × (0.78 to 0.85); llmctl tune");
  expect(text).toMatch(/^#.*n_max: 16$/m);
  expect(text).not.toMatch(/^draft:/m);
});

test("a profile that was edited meanwhile is left as it is", async () => {
  const path = join(folder.cwd, "near", "mine.yaml");
  const measured = await loadProfile(path, folder.options());
  const edited = mine.replace("/m.gguf", "/other.gguf");
  await writeFile(path, edited);
  await expect(write({ measured })).rejects.toMatchObject({ code: "profile-changed", at: path });
  expect(await readFile(path, "utf8")).toBe(edited);
  // A comment changes nothing that was measured.
  await writeFile(path, `# mine\n${mine}`);
  expect(await write({ measured })).toContain("n_max: 4\n");
});

test("a profile that says it already is left alone", async () => {
  await write();
  const once = await readFile(join(folder.cwd, "near", "mine.yaml"), "utf8");
  out = "";
  expect(await write()).toBe(once);
  expect(out).toMatch(/says this already\n$/);
});
