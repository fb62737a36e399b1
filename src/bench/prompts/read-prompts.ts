import { isUtf8 } from "node:buffer";
import { basename, join } from "node:path";
import { isSystemError, LlmctlError, type Problem, systemErrorCode } from "../../base/errors.ts";
import { readBoundedBytes } from "../../base/files/read-bounded.ts";
import { packageFolder } from "../../base/package-folder.ts";
import { listSome } from "../../base/text/list-some.ts";
import { formatSize } from "../../base/text/units.ts";
import type { BenchPrompt } from "../bench-prompt.ts";
import { chatPrompt, parsePromptLine, readableOf } from "./parse-prompt.ts";

export interface PromptFile {
  /** In the order of the file, each one once. */
  readonly prompts: readonly BenchPrompt[];
  /** What was left out, for people. */
  readonly notes: readonly string[];
}

/** Far above any file of prompts; it is held in memory as a whole. */
const mostBytes = 64 << 20;
/** More than any bench can ask in a day. */
const mostPrompts = 10_000;
/** Wrong lines that an error names; a file of another kind has them all wrong. */
const mostProblems = 20;

const shippedFolder = join(packageFolder, "prompts");

/**
 * Reads prompts: JSON Lines (`{"messages":[…]}` or `{"prompt":"…"}`), or text with prompts between lines of `---`, or
 * without such a line one prompt a line. A prompt that occurs twice counts once, since n-gram drafting must not see one
 * twice.
 * @param path Undefined for the shipped ones.
 * @throws LlmctlError `prompts-unreadable`; `prompts-invalid` with all wrong lines; `no-prompts`.
 */
export async function readPrompts(path: string | undefined): Promise<PromptFile> {
  return path === undefined ? readShipped("bench.jsonl") : parsePrompts(await readText(path), path);
}

/** Shipped questions of one sentence, for models with a small context. */
export async function readShortPrompts(): Promise<readonly BenchPrompt[]> {
  return (await readShipped("short.jsonl")).prompts;
}

async function readShipped(name: string): Promise<PromptFile> {
  const path = join(shippedFolder, name);
  return parsePrompts(await readText(path), path);
}

async function readText(path: string): Promise<string> {
  const bytes = await readBoundedBytes(path, mostBytes).catch((cause: unknown) => {
    if (!isSystemError(cause)) throw cause;
    throw unreadable(path, systemErrorCode(cause) === "ENOENT" ? "there is no such file" : cause.message, cause);
  });
  if (bytes === undefined) throw unreadable(path, `it is not a file, or larger than ${formatSize(mostBytes)}`);
  if (!isUtf8(bytes) || bytes.includes(0)) throw unreadable(path, "it is not a text in UTF-8");
  return bytes.toString("utf8").replace(/^\ufeff/, "");
}

/** @throws LlmctlError as {@link readPrompts}. */
export function parsePrompts(text: string, path: string): PromptFile {
  const lines = text.split(/\r?\n/);
  const isJson = /\.(?:jsonl|ndjson|json)$/i.test(path) || /^\s*\{/.test(text);
  const { prompts, dropped } = isJson ? parseJsonLines(lines, path) : { prompts: parseText(lines), dropped: [] };
  if (prompts.length === 0)
    throw new LlmctlError("no-prompts", "the file has no prompts", { exit: "missingFile", at: path, fix: howToWrite });
  if (prompts.length > mostPrompts)
    throw unreadable(path, `it has ${prompts.length} prompts, and ${mostPrompts} are the most`);
  const notes = dropped.map((key) => `"${key}" of ${basename(path)} is left out: the measurement sets it itself`);
  return withoutRepeats(prompts, notes);
}

interface Numbered {
  readonly prompt: BenchPrompt;
  /** Where it begins, from 1. */
  readonly line: number;
}

function parseJsonLines(
  lines: readonly string[],
  path: string,
): { readonly prompts: readonly Numbered[]; readonly dropped: readonly string[] } {
  const prompts: Numbered[] = [];
  const problems: Problem[] = [];
  const dropped = new Set<string>();
  for (const [index, text] of lines.entries()) {
    if (text.trim() === "") continue;
    const parsed = parsePromptLine(text);
    if ("wrong" in parsed) {
      problems.push({ message: parsed.wrong, at: `${path}:${index + 1}` });
      continue;
    }
    prompts.push({ prompt: parsed.prompt, line: index + 1 });
    for (const key of parsed.dropped) dropped.add(key);
  }
  if (problems.length > 0) throw invalid(problems);
  return { prompts, dropped: [...dropped] };
}

function parseText(lines: readonly string[]): readonly Numbered[] {
  const separators = lines.flatMap((text, index) => (text.trim() === "---" ? [index] : []));
  const starts = separators.length === 0 ? lines.map((_, index) => index) : [0, ...separators.map((at) => at + 1)];
  return starts.flatMap((start, index) => {
    const end = separators.length === 0 ? start + 1 : (separators[index] ?? lines.length);
    const text = lines.slice(start, end).join("\n").trim();
    return text === "" ? [] : [{ prompt: chatPrompt(text), line: start + 1 }];
  });
}

function withoutRepeats(all: readonly Numbered[], notes: readonly string[]): PromptFile {
  const firsts = new Map<string, Numbered>();
  const repeats: string[] = [];
  for (const one of all) {
    const readable = readableOf(one.prompt);
    const first = firsts.get(readable);
    if (first === undefined) firsts.set(readable, one);
    else repeats.push(`line ${one.line} repeats line ${first.line}`);
  }
  return {
    prompts: [...firsts.values()].map(({ prompt }) => prompt),
    notes: [
      ...notes,
      ...(repeats.length === 0 ? [] : [`prompts that occur again are left out: ${listSome(repeats, 5)}`]),
    ],
  };
}

const howToWrite =
  'write one JSON object a line, such as {"messages":[{"role":"user","content":"Hello"}]}, ' +
  'or text with lines of "---" between the prompts';

function invalid([first = { message: "a line is wrong" }, ...others]: readonly Problem[]): LlmctlError {
  const shown = others.slice(0, mostProblems - 1);
  const left = others.length - shown.length;
  const more = left === 0 ? [] : [{ message: `${left} more lines are wrong` }];
  return new LlmctlError("prompts-invalid", first.message, { ...first, exit: "missingFile", fix: howToWrite }, [
    ...shown,
    ...more,
  ]);
}

function unreadable(path: string, why: string, cause?: unknown): LlmctlError {
  return new LlmctlError("prompts-unreadable", `cannot read the prompts: ${why}`, {
    exit: "missingFile",
    at: path,
    cause,
  });
}
