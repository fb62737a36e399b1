import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { nodeFiles } from "../../../../src/base/files/file-operations.ts";
import { readReport, reportFiles, writeReport } from "../../../../src/bench/report/report-file.ts";
import { losingReport, payingReport, unclearReport } from "../../../support/bench-reports.ts";
import { fruitfulTune } from "../../../support/tune-reports.ts";

const folder = mkdtempSync(join(tmpdir(), "report-file-"));
afterAll(() => rmSync(folder, { recursive: true }));

function place(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

describe("the names of a report's files", () => {
  test.each([
    ["run.html", "run.html", "run.json"],
    ["a.b/run.HTM", "a.b/run.HTM", "a.b/run.json"],
    ["run.json", "run.html", "run.json"],
    ["run", "run.html", "run.json"],
    ["run.gguf", "run.gguf.html", "run.gguf.json"],
    ["out/.html", "out/.html.html", "out/.html.json"],
  ])("%s stands for a page and its data", (path, html, json) => {
    expect(reportFiles(path)).toEqual({ html, json });
  });
});

describe("a written report", () => {
  test.each([
    ["pays", payingReport()],
    ["loses", losingReport()],
    ["unclear", unclearReport()],
  ])("is read back as it was: %s", async (name, report) => {
    const paths = reportFiles(join(folder, "deep", `${name}.html`));
    await writeReport(paths, report, "<p>page");
    expect(await readReport(paths.json)).toEqual(JSON.parse(JSON.stringify(report)));
    expect(await readReport(paths.html)).toEqual(await readReport(paths.json));
    expect(readFileSync(paths.html, "utf8")).toBe("<p>page");
    expect(statSync(paths.html).mode & 0o777).toBe(0o600);
  });

  test("replaces an older one and leaves nothing else", async () => {
    const own = mkdtempSync(join(folder, "twice-"));
    const paths = reportFiles(join(own, "run.html"));
    await writeReport(paths, losingReport(), "old");
    await writeReport(paths, payingReport(), "new");
    expect((await readReport(paths.json)).sentence).toBe(payingReport().sentence);
    expect(readdirSync(own).toSorted()).toEqual(["run.html", "run.json"]);
  });

  test("a full disk leaves the older one", async () => {
    const paths = reportFiles(join(mkdtempSync(join(folder, "full-")), "run.html"));
    await writeReport(paths, losingReport(), "old");
    const full = async () => {
      throw Object.assign(new Error("ENOSPC: no space left on device, rename"), { code: "ENOSPC", syscall: "rename" });
    };
    await expect(writeReport(paths, payingReport(), "new", { ...nodeFiles, rename: full })).rejects.toMatchObject({
      code: "report-not-written",
      exit: "io",
      at: paths.html,
      message: "the report cannot be written: ENOSPC: no space left on device, rename",
    });
    expect((await readReport(paths.json)).sentence).toBe(losingReport().sentence);
    expect(readFileSync(paths.html, "utf8")).toBe("old");
  });
});

describe("a file that is no report", () => {
  const tune = JSON.stringify(fruitfulTune());
  test.each([
    ["empty.json", "", "the file is not the report of a bench: the text is not JSON"],
    ["text.json", "<html>", "the file is not the report of a bench: the text is not JSON"],
    ["list.json", "[]", "the file is not the report of a bench: it has no version"],
    ["deep.json", "[".repeat(40), "the file is not the report of a bench: the JSON nests more than 32 deep"],
    [
      "other.json",
      `{"version":1}`,
      `the file is not the report of a bench: "llmctl" is missing or not what it should be`,
    ],
    ["tune.json", tune, 'the file is not the report of a bench: it is the report of a "tune", which compares nothing'],
  ])("is refused: %s", async (name, content, message) => {
    const path = place(name, content);
    await expect(readReport(path)).rejects.toMatchObject({ code: "not-a-report", exit: "config", at: path, message });
  });

  test.each([
    [2, "the report has version 2, and this llmctl reads version 1", "update llmctl"],
    [0, "the report has version 0, and this llmctl reads version 1", "measure again with this llmctl"],
  ])("is refused: version %d", async (version, message, fix) => {
    const path = place(`version-${version}.json`, JSON.stringify({ ...payingReport(), version }));
    await expect(readReport(path)).rejects.toMatchObject({ code: "report-version", message, fix });
  });

  test("is refused when there is none, when it is a folder, and when it is too large", async () => {
    const large = place("large.json", "");
    truncateSync(large, (64 << 20) + 1);
    symlinkSync("/dev/zero", join(folder, "endless.json"));
    const tooLarge = "it is no regular file, or larger than 64 MiB";
    for (const [name, message] of [
      ["missing.json", "there is no such report"],
      ["large.json", tooLarge],
      ["endless.json", tooLarge],
    ]) {
      const path = join(folder, name ?? "");
      await expect(readReport(path)).rejects.toMatchObject({
        code: "report-unreadable",
        exit: "missingFile",
        at: path,
        message,
      });
    }
  });

  test("is refused for each key that is missing or of another kind", async () => {
    const report = payingReport() as unknown as Record<string, unknown>;
    for (const key of Object.keys(report).filter((name) => name !== "version")) {
      for (const value of [undefined, true, -1, [null], [[]], { a: true }]) {
        const path = place("changed.json", JSON.stringify({ ...report, [key]: value }));
        const message = `the file is not the report of a bench: "${key}" is missing or not what it should be`;
        await expect(readReport(path), `${key} ${JSON.stringify(value)}`).rejects.toMatchObject({ message });
      }
    }
  });

  test("any change deep inside is read, or refused with a code", async () => {
    const text = JSON.stringify(unclearReport());
    const cut = fc.tuple(
      fc.nat(text.length),
      fc.nat(40),
      fc.constantFrom("", "null", "-1", '"x"', "{}", "[]", "1e999"),
    );
    await fc.assert(
      fc.asyncProperty(cut, async ([at, length, filler]) => {
        const path = place("fuzz.json", text.slice(0, at) + filler + text.slice(at + length));
        const result = await readReport(path).catch((error: unknown) => error);
        expect(result).toSatisfy((value) => value instanceof Error === "code" in (value as object));
      }),
    );
  });
});
