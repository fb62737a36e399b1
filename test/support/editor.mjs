#!/usr/bin/env node
/*
 * An editor for tests: edits the file as its environment says, each time by the next of `EDITS` (JSON: a list of
 * `[from, to]`, or of exit codes), counted in a file, and writes its arguments to another file.
 */
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";

const notes = process.env["EDITOR_NOTES"];
const args = process.argv.slice(2);
appendFileSync(notes, `${JSON.stringify(args)}\n`);
const turn = readFileSync(notes, "utf8").trim().split("\n").length - 1;
const edit = JSON.parse(process.env["EDITS"])[turn];
if (Array.isArray(edit)) {
  const file = args.at(-1);
  writeFileSync(file, readFileSync(file, "utf8").replace(edit[0], edit[1]));
} else {
  process.exitCode = edit;
}
