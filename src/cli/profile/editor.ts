import { basename } from "node:path";
import type { Env } from "../../base/environment.ts";
import { LlmctlError } from "../../base/errors.ts";
import { findTool } from "../../base/files/find-tool.ts";
import { runOnTerminal } from "../run/run-on-terminal.ts";

/** How a command line of this editor opens a file at a line; undefined for one that is only given the file. */
const lineArguments: Readonly<Record<string, (file: string, line: number) => readonly string[]>> = {
  ...same(
    ["vi", "vim", "nvim", "nano", "emacs", "emacsclient", "micro", "mg", "joe", "ed", "kak", "gedit"],
    (file, line) => [`+${line}`, file],
  ),
  ...same(["code", "code-insiders", "codium", "cursor"], (file, line) => ["-g", `${file}:${line}`]),
  ...same(["hx", "helix", "subl", "zed"], (file, line) => [`${file}:${line}`]),
};

/** Editors that return at once, unless an argument makes them wait until the file is closed. */
const waitArguments: Readonly<Record<string, RegExp>> = {
  ...same(["code", "code-insiders", "codium", "cursor", "subl", "zed"], /^(?:-w|--wait)$/),
};

function same<T>(names: readonly string[], value: T): Record<string, T> {
  return Object.fromEntries(names.map((name) => [name, value]));
}

/**
 * The editor of the user, as a shell command; it may have arguments.
 * @throws LlmctlError `editor-missing`.
 */
export function findEditor(env: Env = process.env): string {
  const chosen = env["VISUAL"] || env["EDITOR"];
  if (chosen) return chosen;
  const found = ["editor", "nano", "vi"].find((name) => findTool(name, env["PATH"]) !== undefined);
  if (found !== undefined) return found;
  throw new LlmctlError("editor-missing", "no editor was found", {
    exit: "missingFile",
    fix: "set EDITOR, such as EDITOR=vim",
  });
}

/** The arguments that are added to the editor's command to open a file at a line. */
export function editorArguments(editor: string, file: string, line?: number): readonly string[] {
  const [program = "", ...words] = editor.trim().split(/\s+/);
  const name = basename(program);
  const waits = waitArguments[name];
  const wait = waits === undefined || words.some((word) => waits.test(word)) ? [] : ["--wait"];
  const atLine = line === undefined ? undefined : lineArguments[name]?.(file, line);
  return [...wait, ...(atLine ?? [file])];
}

/**
 * Opens the editor on a file and waits until it is closed.
 * @returns its exit code; 127 when the shell cannot find it.
 */
export async function openEditor(editor: string, file: string, line?: number): Promise<number> {
  // Through the shell, as git does: the variable may hold arguments with quotes.
  const args = ["-c", `${editor} "$@"`, "llmctl", ...editorArguments(editor, file, line)];
  return runOnTerminal({ file: "/bin/sh", args, env: process.env });
}
