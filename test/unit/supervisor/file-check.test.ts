import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { checkFiles } from "../../../src/supervisor/file-check.ts";
import { makeLaunch } from "../../support/make-launch.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-files-"));
  for (const name of ["server", "m.gguf", "keys"]) await writeFile(join(folder, name), "");
});
afterEach(() => rm(folder, { recursive: true }));

const check = (names: { server?: string; model?: string; keys?: string }) =>
  checkFiles(
    makeLaunch({
      file: join(folder, names.server ?? "server"),
      files: [{ path: join(folder, names.model ?? "m.gguf"), sizeBytes: 1 }],
      apiKeyFile: join(folder, names.keys ?? "keys"),
    }),
  );

test("a launch whose files all exist can be started", async () => {
  expect(await check({})).toBeUndefined();
});

test.each([
  [{ server: "gone" }, "binary-missing", "the program"],
  [{ model: "gone/m.gguf" }, "model-missing", "the model file"],
  // A file in place of a folder.
  [{ model: "keys/m.gguf" }, "model-missing", "the model file"],
  [{ keys: "gone" }, "api-key-file-missing", "the API key file"],
])("%j is missing and may appear later", async (names, kind, what) => {
  const cause = await check(names);
  expect(cause).toMatchObject({ kind, permanent: true, mayCome: true, exit: "missingFile" });
  expect(cause?.message).toMatch(new RegExp(`^${what} ".*" is missing$`));
});
