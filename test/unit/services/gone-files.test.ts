import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { findGoneFiles } from "../../../src/services/gone-files.ts";
import { renderUnit } from "../../../src/services/unit.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-gone-"));
  for (const name of ["node", "main.js", "coder.yaml"]) await writeFile(join(folder, name), "");
});
afterEach(() => rm(folder, { recursive: true }));

const unit = () =>
  renderUnit({
    name: "coder",
    profilePath: join(folder, "coder.yaml"),
    dependsOn: [],
    nodePath: join(folder, "node"),
    execPath: join(folder, "main.js"),
    scope: "user",
    stopTimeoutMs: 1000,
    writable: [],
    environment: {},
  });
const installAnew = { run: ["systemd", "install", "coder"] };

test("a unit whose files are all there has none that are gone", async () => {
  expect(await findGoneFiles(unit(), "coder")).toEqual([]);
});

test.each([
  ["node", "the Node that it runs", installAnew],
  ["main.js", "the llmctl that it runs", installAnew],
  [
    "coder.yaml",
    "its profile",
    { before: "put it back, install a unit for another file, or run", run: ["systemd", "uninstall", "coder"] },
  ],
])("%s that is gone is named with what to do", async (name, what, fix) => {
  await rm(join(folder, name));
  expect(await findGoneFiles(unit(), "coder")).toEqual([{ what, path: join(folder, name), fix }]);
});

test("files below a file are gone, in the order of the unit", async () => {
  const below = unit().replaceAll(folder, join(folder, "node"));
  expect((await findGoneFiles(below, "coder")).map(({ what }) => what)).toEqual([
    "the Node that it runs",
    "the llmctl that it runs",
    "its profile",
  ]);
});

test("a file that cannot be looked at, and a command without paths, are not called gone", async () => {
  expect(await findGoneFiles(`ExecStart=/${"x".repeat(300)} main.js up coder\n`, "coder")).toEqual([]);
  expect(await findGoneFiles("", "coder")).toEqual([]);
});
