import { isDeepStrictEqual } from "node:util";
import { isMap, isScalar, type Node, type Pair, parseDocument, type YAMLMap } from "yaml";

/** Our comment above `draft:`, on a line of its own. */
const ownComment = /(?<=^\uFEFF?)[ \t]*# tuned \d{4}-\d{2}-\d{2} on [^\r\n]*; llmctl tune[ \t]*(?:\r?\n|$)/gm;

/** Where a part of a text is, whole lines. */
interface Lines {
  readonly start: number;
  readonly end: number;
}

/** A line within a text value that looks like our comment is none: without it the file would mean something else. */
function findOwnComments(text: string): Lines[] {
  const plain = readValues(text);
  return [...text.matchAll(ownComment)]
    .map(({ index, 0: line }) => ({ start: index, end: index + line.length }))
    .filter((lines) => isDeepStrictEqual(readValues(replaceLines(text, lines, "")), plain));
}

/** Without our comments. */
export function withoutTunedComment(text: string): string {
  return findOwnComments(text).reduceRight((edited, lines) => replaceLines(edited, lines, ""), text);
}

/** With this comment in the place of ours; the same text where there is none of ours. */
export function replaceTunedComment(text: string, comment: string): string {
  const [first, ...more] = findOwnComments(text);
  if (first === undefined) return text;
  const edited = more.reduceRight((one, lines) => replaceLines(one, lines, ""), text);
  const old = edited.slice(first.start, first.end);
  return replaceLines(edited, first, old.replace(/# [^\r\n]*/, `# ${comment}`.replaceAll("$", "$$$$")));
}

/** With this comment on a line of its own above `draft`, or at the top where that is within a text of several lines. */
export function putTunedComment(text: string, comment: string): string {
  const start = findDraft(text)?.pair.key?.range?.[0] ?? 0;
  const top = text.startsWith("\uFEFF") ? 1 : 0;
  const at = Math.max(text.lastIndexOf("\n", start - 1) + 1, top);
  const indent = /^ */.exec(text.slice(at))?.[0] ?? "";
  const insert = (place: number, before: string) =>
    replaceLines(text, { start: place, end: place }, `${before}# ${comment}${lineBreakOf(text)}`);
  const above = insert(at, indent);
  return isDeepStrictEqual(readValues(above), readValues(text)) ? above : insert(top, "");
}

/**
 * With the lines of `draft` as comments, below the given lines.
 * @returns undefined where the key shares its lines with others, as in a profile that is one map in braces.
 */
export function commentOutDraft(text: string, above: readonly string[]): string | undefined {
  const found = findDraft(text);
  const [start = 0] = found?.pair.key?.range ?? [];
  if (found === undefined || found.root.flow === true) return undefined;
  const at = text.lastIndexOf("\n", start - 1) + 1;
  const indent = text.slice(at, start).replace("\uFEFF", "");
  if (/\S/.test(indent)) return undefined;
  const end = endOfLine(text, endOfPair(text, found));
  const eol = lineBreakOf(text);
  const old = text.slice(start, end).replaceAll(/^(?=[^\r\n])/gm, "# ");
  return replaceLines(text, { start, end }, above.map((line) => `${line}${eol}${indent}`).join("") + old);
}

interface FoundDraft {
  readonly root: YAMLMap<Node, Node | null>;
  readonly pair: Pair<Node, Node | null>;
}

function findDraft(text: string): FoundDraft | undefined {
  const root = parseDocument<Node>(text, { uniqueKeys: false }).contents;
  if (!isMap<Node, Node | null>(root)) return undefined;
  const pair = root.items.find(({ key }) => isScalar(key) && key.value === "draft");
  return pair === undefined ? undefined : { root, pair };
}

/** Behind the last value in it: the comments after that may be about the next key. */
function endOfPair(text: string, { pair }: FoundDraft): number {
  const [start = 0, end = start] = pair.value?.range ?? [];
  const lines = text.slice(start, end).split(/(?<=\n)/);
  const last = lines.findLastIndex((line) => /^\s*[^\s#]/.test(line));
  return start + lines.slice(0, last + 1).join("").length;
}

function endOfLine(text: string, offset: number): number {
  if (text[offset - 1] === "\n") return offset;
  const end = text.indexOf("\n", offset);
  return end < 0 ? text.length : end + 1;
}

function replaceLines(text: string, { start, end }: Lines, by: string): string {
  return text.slice(0, start) + by + text.slice(end);
}

function lineBreakOf(text: string): string {
  return /\r?\n/.exec(text)?.[0] ?? "\n";
}

/** Undefined for text that is not YAML. */
function readValues(text: string): unknown {
  const document = parseDocument(text, { uniqueKeys: false });
  return document.errors.length > 0 ? undefined : (document.toJS({ maxAliasCount: 10_000 }) as unknown);
}
