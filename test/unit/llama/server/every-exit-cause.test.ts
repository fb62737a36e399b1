import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { explainExit } from "../../../../src/llama/server/exit-cause.ts";
import { checkout } from "../../../support/checkout.ts";

/** The text of all files below a folder, or of one file. */
function readAll(folder: string): string {
  return readdirSync(join(checkout, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => readFileSync(join(checkout, folder, name), "utf8"))
    .join("\n");
}

test("every exit cause has a test, since scripts and metrics rely on its kind", () => {
  const code =
    readAll("src/llama/server") + readFileSync(join(checkout, "src/supervisor/supervision-causes.ts"), "utf8");
  const kinds = [...code.matchAll(/^\s*kind: "([a-z-]+)",$/gm)].map(([, kind = ""]) => kind);
  expect(kinds.length).toBeGreaterThan(15);
  const tests = ["test/unit/llama", "test/unit/supervisor", "test/process"].map(readAll).join("\n");
  expect([...new Set(kinds)].filter((kind) => !tests.includes(`"${kind}"`))).toEqual([]);
});

test("a model file without read permission has another cause than a missing one", () => {
  const lastLines = ["gguf_init_from_file: failed to open GGUF file '/m/x.gguf' (Permission denied)"];
  const exit = { name: "coder", code: 1, signal: null, lastLines, oomKills: 0, wasReady: false };
  expect(explainExit(exit)).toMatchObject({ kind: "model-unreadable", exit: "permission", permanent: true });
});
