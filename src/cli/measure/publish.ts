import { type ReportFiles, reportFiles, writeReport } from "../../bench/report/report-file.ts";
import { jsonText } from "../screen/json-text.ts";
import { print } from "../screen/print.ts";

interface Published {
  /** Where the files of the report go; undefined for none. */
  readonly path: string | undefined;
  readonly json: boolean;
  /** The page of the report. */
  readonly render: () => string;
  /** The report for a terminal. @param files Where it was written to. */
  readonly describe: (files: ReportFiles | undefined) => string;
}

/**
 * Writes a report to its files and prints it. What hours have shown is printed also where no file can be written.
 * @throws LlmctlError as `writeReport`.
 */
export async function publish(report: object, { path, json, render, describe }: Published): Promise<void> {
  let written: ReportFiles | undefined;
  try {
    const files = path === undefined ? undefined : reportFiles(path);
    if (files !== undefined) await writeReport(files, report, render());
    written = files;
  } finally {
    // A script gets one document: the report or the error.
    if (!json) print(describe(written));
  }
  if (json) print(jsonText(report));
}
