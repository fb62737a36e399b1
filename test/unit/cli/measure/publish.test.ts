import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { publish } from "../../../../src/cli/measure/publish.ts";

let folder: string;
let out: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "llmctl-publish-"));
  out = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => ((out += String(text)), true));
});
afterEach(() => rmSync(folder, { recursive: true }));

const options = {
  path: undefined,
  json: false,
  render: () => "a page",
  describe: (files?: { readonly html: string }) => `it pays; ${files?.html ?? "no file"}\n`,
};

test("a report is printed, and written where that is asked for", async () => {
  await publish({ version: 1 }, options);
  const html = join(folder, "run.html");
  await publish({ version: 1 }, { ...options, path: html });
  expect(out).toBe(`it pays; no file\nit pays; ${html}\n`);
  expect(readFileSync(html, "utf8")).toBe("a page");
});

test("a report that cannot be written is printed all the same", async () => {
  const path = join("/dev/null", "run.html");
  await expect(publish({ version: 1 }, { ...options, path })).rejects.toMatchObject({ code: "report-not-written" });
  expect(out).toBe("it pays; no file\n");
});

test("a script gets one document, the report or the error", async () => {
  const path = join("/dev/null", "run.html");
  const json = { ...options, json: true };
  await expect(publish({ version: 1 }, { ...json, path })).rejects.toMatchObject({ code: "report-not-written" });
  expect(out).toBe("");
  await publish({ version: 1 }, json);
  expect(JSON.parse(out)).toEqual({ version: 1 });
});
