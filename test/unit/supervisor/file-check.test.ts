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
  [{ server: "gone" }, "binary-missing", "program", "gone"],
  [{ model: "gone/m.gguf" }, "model-missing", "model file", "gone/m.gguf"],
  // A file in place of a folder.
  [{ model: "keys/m.gguf" }, "model-missing", "model file", "keys/m.gguf"],
  [{ keys: "gone" }, "api-key-file-missing", "API key file", "gone"],
  [{ server: "gone", model: "lost", keys: "away" }, "binary-missing", "program", "gone"],
  [{ model: "lost", keys: "away" }, "model-missing", "model file", "lost"],
])("%j: the first missing file is named, and may appear later", async (names, kind, what, path) => {
  expect(await check(names)).toEqual({
    kind,
    message: `the ${what} "${join(folder, path)}" is missing`,
    fix: "check the path, and that its file system is mounted",
    permanent: true,
    mayCome: true,
    exit: "missingFile",
  });
});

test("a launch without an API key file needs none, and every file of a set is needed", async () => {
  const files = ["a", "b"].map((name) => ({ path: join(folder, name), sizeBytes: 1 }));
  const file = join(folder, "server");
  expect(await checkFiles({ file, files: [] })).toBeUndefined();
  await writeFile(join(folder, "a"), "");
  expect((await checkFiles({ file, files }))?.message).toContain(`"${join(folder, "b")}" is missing`);
});

// What a file system answers whose server or device is gone for a while, or a shortage of this machine.
const forAWhile = ["ENODEV", "ENXIO", "EIO", "ESTALE", "ENOTCONN", "ECONNREFUSED", "ETIMEDOUT", "EHOSTDOWN"].concat([
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EAGAIN",
  "EMFILE",
  "ENFILE",
  "ENOBUFS",
  "ENOMEM",
]);

test.each([
  ...forAWhile.map((code) => [code, true, "missingFile"] as const),
  ["EACCES", false, "permission"] as const,
  ["EPERM", false, "permission"] as const,
  ["ELOOP", false, "missingFile"] as const,
])("a file that cannot be reached (%s) may come back: %s; exit %s", async (code, mayCome, exit) => {
  const cause = await checkFiles({ file: "/server", files: [] }, async () => {
    throw Object.assign(new Error("stat"), { code, syscall: "stat" });
  });
  expect(cause).toStrictEqual({
    kind: "binary-missing",
    message: `the program "/server" cannot be reached (${code})`,
    fix: "check the path, and that its file system is mounted",
    permanent: true,
    ...(mayCome ? { mayCome } : {}),
    exit,
  });
});
