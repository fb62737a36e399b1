import { writeFileAtomic } from "../../base/files/atomic-write.ts";
import { type FileOperations, nodeFiles } from "../../base/files/file-operations.ts";
import { readBounded } from "../../base/files/read-bounded.ts";
import { isSystemError, LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { parseJson } from "../../base/text/parse-json.ts";
import { findWrong, isMap } from "../../base/text/check-shape.ts";
import { printableJson } from "../../base/text/printable.ts";
import { type BenchReport, benchReportVersion } from "../bench-report.ts";
import { reportChecks } from "./report-shape.ts";

/** Some hundred thousand measurements; a day of measuring gives fewer. */
const mostBytes = 64 << 20;
const jsonLimits = { depth: 32, values: 4_000_000 };

/** What to do where the file is not the report of a comparison. */
const nameReport = 'name the JSON file that "bench --report" has written beside its page';

/** A report's two files. */
export interface ReportFiles {
  readonly html: string;
  readonly json: string;
}

/** The paths for one name: `run.html`, `run.json` and `run` all stand for `run.html` with `run.json` beside it. */
export function reportFiles(path: string): ReportFiles {
  const [, stem = path, ending = ""] = /^(.*[^/])(\.html?|\.json)$/is.exec(path) ?? [];
  const isPage = /^\.html?$/i.test(ending);
  return { html: isPage ? path : `${stem}.html`, json: `${stem}.json` };
}

/**
 * Writes a report for people and for scripts. Only the user may read the files: prompts can be private.
 * @param page What `renderHtml` or `renderTuneHtml` has made of the report.
 * @throws LlmctlError `report-not-written` (74); then each of the files is as it was before, or whole and new.
 */
export async function writeReport(
  paths: ReportFiles,
  report: object,
  page: string,
  files: FileOperations = nodeFiles,
): Promise<void> {
  try {
    // The data first: a page can be made from it again.
    await writeFileAtomic(paths.json, `${printableJson(report, 1)}\n`, { files });
    await writeFileAtomic(paths.html, page, { files });
  } catch (error) {
    if (!isSystemError(error)) throw error;
    throw new LlmctlError("report-not-written", `the report cannot be written: ${error.message}`, {
      exit: "io",
      at: paths.html,
      fix: "name a file in a folder that you may write, on a disk with space",
      cause: error,
    });
  }
}

/**
 * Reads the JSON of a comparison, which may come from somebody else. Its page is taken for it.
 * @throws LlmctlError `report-unreadable` (66), `not-a-report` (78), `report-version` (78).
 */
export async function readReport(path: string): Promise<BenchReport> {
  const { json } = reportFiles(path);
  const value = parse(await readText(json), json);
  if (!isMap(value) || typeof value["version"] !== "number") throw notAReport(json, "it has no version");
  if (Array.isArray(value["stages"])) throw notAReport(json, 'it is the report of a "tune", which compares nothing');
  if (value["version"] !== benchReportVersion) throw otherVersion(json, value["version"]);
  const wrong = findWrong(value, reportChecks);
  if (wrong !== undefined) throw notAReport(json, `"${wrong}" is missing or not what it should be`);
  return value as unknown as BenchReport;
}

async function readText(path: string): Promise<string> {
  let text: string | undefined;
  try {
    text = await readBounded(path, mostBytes);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    const what =
      systemErrorCode(error) === "ENOENT" ? "there is no such report" : `it cannot be read: ${error.message}`;
    throw new LlmctlError("report-unreadable", what, { exit: "missingFile", at: path, fix: nameReport, cause: error });
  }
  if (text !== undefined) return text;
  throw new LlmctlError("report-unreadable", `it is no regular file, or larger than ${mostBytes >> 20} MiB`, {
    exit: "missingFile",
    at: path,
    fix: nameReport,
  });
}

function parse(text: string, path: string): unknown {
  try {
    return parseJson(text, jsonLimits);
  } catch (error) {
    if (error instanceof SyntaxError) throw notAReport(path, error.message);
    throw error;
  }
}

function notAReport(path: string, why: string): LlmctlError {
  return new LlmctlError("not-a-report", `the file is not the report of a bench: ${why}`, {
    exit: "config",
    at: path,
    fix: nameReport,
  });
}

function otherVersion(path: string, version: number): LlmctlError {
  return new LlmctlError(
    "report-version",
    `the report has version ${version}, and this llmctl reads version ${benchReportVersion}`,
    {
      exit: "config",
      at: path,
      fix: version > benchReportVersion ? "update llmctl" : "measure again with this llmctl",
    },
  );
}
