import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  Parser,
  type YAMLError,
} from "yaml";
import { LlmctlError } from "../../base/errors.ts";
import { quote } from "./quote-value.ts";
import {
  type ProfileProblem,
  type SourcePlace,
  showPlace,
  type SourceText,
  type Located,
  type LocatedEntry,
  type LocatedMap,
  type LocatedScalar,
} from "./located.ts";

/**
 * Limits of a profile, far above any real one. Nesting is measured on the parser's stack (about two tokens a level)
 * before the document is composed: composing is recursive, and 1 MB of `{` once ended the whole process.
 */
const limits = {
  nesting: 64,
  tokens: 100_000,
  /** Counted per use of an alias: nine lines of aliases can stand for a billion values. */
  values: 10_000,
  /**
   * Of all texts, counted the same way: an alias of a long text costs nothing here, but its bytes wherever the profile
   * is written or printed.
   */
  characters: 4 << 20,
  syntaxProblems: 5,
};

/** The content of a file and its problems; with problems, `root` holds what could be read. */
export interface ReadYaml {
  readonly root: LocatedMap;
  readonly findings: readonly ProfileProblem[];
}

interface Reading {
  readonly source: SourceText;
  readonly text: string;
  readonly lines: LineCounter;
  readonly anchors: Map<string, Node>;
  readonly findings: ProfileProblem[];
  values: number;
  characters: number;
}

/** Parses the text of a profile. @throws LlmctlError `profile-invalid` when the text exceeds the limits above. */
export function readYaml(text: string, source: SourceText): ReadYaml {
  const lines = new LineCounter();
  const reading: Reading = { source, text, lines, anchors: new Map(), findings: [], values: 0, characters: 0 };
  checkBounds(text, reading);
  // Duplicate keys are found by readMap, which knows their names; the check of the library takes quadratic time.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false });
  const errors = [...document.errors, ...document.warnings].slice(0, limits.syntaxProblems);
  const start = placeAt(reading, 0);
  const empty: LocatedMap = { kind: "map", entries: new Map(), place: start };
  if (errors.length > 0) return { root: empty, findings: errors.map((error) => syntaxFinding(error, reading)) };
  const root = readNode(document.contents, reading, start);
  if (root.kind === "map") return { root, findings: reading.findings };
  const found = root.kind === "list" ? "is a list" : root.value === null ? "is empty" : "is a single value";
  const finding = {
    message: `${named(reading)} ${found}`,
    place: root.place,
    fix: "write keys and values, such as: model: model.gguf",
  };
  return { root: empty, findings: [...reading.findings, finding] };
}

function checkBounds(text: string, reading: Reading): void {
  const parser = new Parser((offset) => void reading.lines.addNewLine(offset));
  let tokens = 0;
  for (const lexeme of new Lexer().lex(text)) {
    tokens += 1;
    // Only the nesting of the tokens is needed.
    for (const _ of parser.next(lexeme));
    if (parser.stack.length > limits.nesting) throw refuse(reading, parser.offset, "nests too deeply");
    if (tokens > limits.tokens) throw refuse(reading, parser.offset, `holds more than ${limits.tokens} YAML tokens`);
  }
  // The parser of the document counts the lines again.
  reading.lines.lineStarts.length = 0;
}

function readNode(node: Node | null, reading: Reading, place: SourcePlace, depth = 0): Located {
  reading.values += 1;
  const offset = node?.range?.[0];
  if (depth > limits.nesting) throw refuse(reading, offset, "nests without end: an alias contains itself");
  if (reading.values > limits.values) throw refuse(reading, offset, `holds more than ${limits.values} values`);
  const here = offset === undefined ? place : placeAt(reading, offset);
  if (isAlias(node)) return readAlias(node.source, reading, here, depth);
  if (node && "anchor" in node && node.anchor !== undefined) reading.anchors.set(node.anchor, node);
  if (isMap<Node, Node>(node)) return readMap(node.items, reading, here, depth);
  if (isSeq<Node>(node))
    return { kind: "list", items: node.items.map((item) => readNode(item, reading, here, depth + 1)), place: here };
  return readScalar(isScalar(node) ? node : null, reading, here);
}

function readAlias(name: string, reading: Reading, place: SourcePlace, depth: number): Located {
  const node = reading.anchors.get(name);
  if (node) return readNode(node, reading, place, depth + 1);
  reading.findings.push({
    message: isInEnv(reading.text, place.line)
      ? unreadableInEnv(reading)
      : `${named(reading)} uses ${quote(`*${name}`)}, but nothing before it has the anchor ${quote(`&${name}`)}`,
    place,
    fix: 'put text that begins with "*" in quotes',
  });
  return { kind: "scalar", value: null, text: "", place };
}

function checkText(
  text: string,
  reading: Reading,
  { place, offset }: { readonly place: SourcePlace; readonly offset: number | undefined },
): void {
  reading.characters += text.length;
  if (reading.characters > limits.characters)
    throw refuse(reading, offset, `holds more than ${limits.characters} characters of text`);
  if (text.includes("\0")) reading.findings.push({ message: `${named(reading)} holds a NUL character`, place });
  if (isBroken(text)) reading.findings.push({ message: `${named(reading)} holds half of a character`, place });
}

/** Half of a surrogate pair, as from "\ud800": no file name and no address can have it. */
function isBroken(text: string): boolean {
  return /\p{Cs}/u.test(text);
}

function readScalar(
  node: { value: unknown; source?: string; range?: readonly number[] | null } | null,
  reading: Reading,
  place: SourcePlace,
): LocatedScalar {
  const value = node?.value ?? null;
  if (typeof value === "string") checkText(value, reading, { place, offset: node?.range?.[0] });
  const plain = typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? value : null;
  return { kind: "scalar", value: plain, text: node?.source ?? String(plain), place };
}

function readMap(
  pairs: readonly Pair<Node, Node | null>[],
  reading: Reading,
  place: SourcePlace,
  depth: number,
): LocatedMap {
  const entries = new Map<string, LocatedEntry>();
  for (const pair of pairs) {
    const start = pair.key?.range?.[0];
    const here = start === undefined ? place : placeAt(reading, start);
    const value = readNode(pair.value, reading, here, depth + 1);
    const key = readKey(pair.key, entries, reading, here);
    if (key !== undefined) entries.set(key, { place: here, value });
  }
  return { kind: "map", entries, place };
}

function readKey(
  node: Node | null,
  seen: ReadonlyMap<string, LocatedEntry>,
  reading: Reading,
  place: SourcePlace,
): string | undefined {
  const key = isScalar(node) ? node.value : undefined;
  const earlier = typeof key === "string" ? seen.get(key) : undefined;
  if (typeof key !== "string") {
    reading.findings.push({
      message: `${named(reading)} has a key that is not text`,
      place,
      fix: "put the key in quotes",
    });
  } else if (earlier) {
    reading.findings.push({
      // The text behind an equals sign was meant as the value, which may be secret.
      message: `${named(reading)} has the key ${quote(key.split("=", 1)[0] ?? "")} twice`,
      place,
      fix: `keep one of them; the first is on line ${earlier.place.line}`,
    });
  } else if (key === "__proto__" || key.includes("\0") || isBroken(key)) {
    reading.findings.push({
      message: `${named(reading)} has a key that cannot be used: ${quote(key)}`,
      place,
      fix: "remove it",
    });
  } else {
    return key;
  }
  return undefined;
}

function syntaxFinding(error: YAMLError, reading: Reading): ProfileProblem {
  const { text } = reading;
  const place = placeAt(reading, error.pos[0]);
  const line = text.split("\n", place.line).at(-1) ?? "";
  if (error.code === "TAB_AS_INDENT")
    return { message: `${named(reading)} is indented with a tab`, place, fix: "indent with spaces" };
  if (error.code === "MULTIPLE_DOCS") {
    return {
      message: `${named(reading)} holds more than one YAML document`,
      place,
      fix: "write one profile per file, without a second ---",
    };
  }
  const said = error.message.slice(0, 1).toLowerCase() + error.message.slice(1);
  const fix = line.includes("${env:")
    ? { fix: "put text with ${env:…} in quotes when it stands between { } or [ ]" }
    : {};
  // The library's message quotes the text that it could not read.
  if (isInEnv(text, place.line))
    return { message: unreadableInEnv(reading), place, fix: "put the value in quotes", ...fix };
  return { message: `${named(reading)} is not valid YAML: ${said}`, place, ...fix };
}

/**
 * Whether a line belongs to the key `env`, whose values appear in no message. In a map in braces this cannot be told.
 */
function isInEnv(text: string, line: number): boolean {
  const lines = text.split("\n", line).filter((one) => /^\s*[^\s#]/.test(one) && !/^(?:---|%)/.test(one));
  const indents = lines.map((one) => one.search(/\S/));
  // A whole profile may be indented, and a colon may stand on a line of its own.
  const top =
    lines.findLast((one, index) => (indents[index] ?? 0) <= (indents[0] ?? 0) && !/^\s*:/.test(one))?.trimStart() ?? "";
  return /^(?:\?\s*)?["']?env\b/.test(top) || /^\{|[{,]\s*["']?env\b/.test(top);
}

function unreadableInEnv(reading: Reading): string {
  return `${named(reading)} is not valid YAML: a value in "env" cannot be read`;
}

function refuse(reading: Reading, offset: number | undefined, what: string): LlmctlError {
  return new LlmctlError("profile-invalid", `${named(reading)} ${what}`, {
    exit: "config",
    at: showPlace(placeAt(reading, offset ?? 0)),
  });
}

function named(reading: Reading): string {
  return `profile ${quote(reading.source.name)}`;
}

function placeAt(reading: Reading, offset: number): SourcePlace {
  const { line, col } = reading.lines.linePos(offset);
  return { source: reading.source, line: Math.max(1, line), column: Math.max(1, col) };
}
