import { isDeepStrictEqual } from "node:util";
import { isCollection, isMap, isScalar, isSeq, type Node, parse, parseDocument } from "yaml";
import { LlmctlError } from "../../base/errors.ts";
import type { ValueArgument } from "./value-argument.ts";
import { quote } from "./quote-value.ts";
import { readYaml } from "./read-yaml.ts";
import { withKey, withoutKey } from "./edit-plain-value.ts";
import { type KeyPath, showKey, type SourceText, toPlain, toProblem } from "./located.ts";
import {
  type AnyMap,
  type AnyPair,
  endOfColon,
  endOfLine,
  endOfPair,
  endOfValue,
  findIndentStep,
  hasColon,
  indentOf,
  isEmpty,
  rangeOf,
  startOfLine,
} from "./text-places.ts";

/*
 * Edits replace parts of the text at places that the parser names; the document is never printed anew, since a printer
 * has its own style of quotes, blank lines and indentation. Each result is parsed again: an edit that would change
 * anything else (through an alias, say) is refused and not written.
 */

/** One replacement of a part of the text. */
interface Splice {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/**
 * Sets one key of a profile's YAML text; every byte outside the value, or outside the new line, stays.
 * @throws LlmctlError `profile-invalid` for text that is not YAML, `profile-uneditable` when the key cannot be written
 * without changing more.
 */
export function setInYaml(text: string, path: KeyPath, value: ValueArgument, source: SourceText): string {
  // Undefined when the key cannot be there: no text has this meaning.
  const wanted = withKey(readPlain(text, source), path, value.value);
  const spot = findSpot(text, path);
  for (const spelling of orderSpellings(value, spot)) {
    const edited = apply(text, spliceValue(text, spot, spelling));
    if (means(edited, wanted, source)) return edited;
  }
  throw uneditable("set", path, source);
}

/**
 * Removes one key with its lines, and the maps that this leaves empty.
 * @returns undefined when the text does not have the key. @throws LlmctlError as {@link setInYaml}.
 */
export function unsetInYaml(text: string, path: KeyPath, source: SourceText): string | undefined {
  const wanted = withoutKey(readPlain(text, source), path);
  if (wanted === undefined) return undefined;
  const edited = apply(text, spliceAway(text, path));
  if (!means(edited, wanted, source)) throw uneditable("unset", path, source);
  return edited;
}

/** The values of a text. @throws LlmctlError `profile-invalid` for text that is not YAML. */
export function readPlain(text: string, source: SourceText): unknown {
  const { root, findings } = readYaml(text, source);
  const [first, ...more] = findings.map(toProblem);
  // The first key may be written into a file with comments only.
  if (first === undefined || parseDocument(text).contents === null) return toPlain(root);
  const { message, ...where } = first;
  throw new LlmctlError("profile-invalid", message, { exit: "config", ...where }, more);
}

function means(text: string, wanted: unknown, source: SourceText): boolean {
  const { root, findings } = readYaml(text, source);
  return findings.length === 0 && isDeepStrictEqual(toPlain(root), wanted);
}

function uneditable(verb: "set" | "unset", path: KeyPath, source: SourceText): LlmctlError {
  return new LlmctlError(
    "profile-uneditable",
    `cannot ${verb} ${quote(showKey(path))} without changing more than that key`,
    {
      exit: "config",
      at: source.shown,
      fix: { run: ["profile", "edit", source.name] },
    },
  );
}

/** The place of a key, as far as the text has it. */
interface Spot {
  /** The pairs from the root to the last one that exists, each with its map. */
  readonly steps: readonly { readonly map: AnyMap; readonly pair: AnyPair }[];
  /** The pair or list item at the end of the existing path; undefined for the root. */
  readonly holder: AnyPair | Node | undefined;
  readonly value: Node | null;
  /** The keys that the text does not have. */
  readonly rest: readonly string[];
  readonly indentStep: number;
}

function findSpot(text: string, path: KeyPath): Spot {
  // The text has no duplicate key, and the library's search for one takes quadratic time.
  const document = parseDocument<Node>(text, { keepSourceTokens: true, uniqueKeys: false });
  const steps: { map: AnyMap; pair: AnyPair }[] = [];
  let holder: Spot["holder"];
  let value = document.contents;
  let index = 0;
  for (; index < path.length; index += 1) {
    const next: AnyPair | Node | undefined = child(value, path[index]);
    if (next === undefined) break;
    if (isMap<Node, Node | null>(value) && "key" in next) steps.push({ map: value, pair: next });
    holder = next;
    value = "key" in next ? next.value : next;
  }
  return {
    steps,
    holder,
    value,
    rest: path.slice(index).map(String),
    indentStep: findIndentStep(text, document.contents),
  };
}

function child(value: Node | null, key: string | number | undefined): AnyPair | Node | undefined {
  if (isMap<Node, Node | null>(value)) return value.items.find((pair) => isScalar(pair.key) && pair.key.value === key);
  return isSeq<Node>(value) && typeof key === "number" ? value.items[key] : undefined;
}

/** New text takes the quotes of the old one. */
function orderSpellings({ spellings }: ValueArgument, spot: Spot): readonly string[] {
  const style = isScalar(spot.value) ? spot.value.type : undefined;
  const mark = style === "QUOTE_DOUBLE" ? '"' : style === "QUOTE_SINGLE" ? "'" : "";
  return [...spellings.filter((spelling) => spelling.startsWith(mark)), ...spellings];
}

function spliceValue(text: string, spot: Spot, spelling: string): Splice[] {
  const { holder, value, rest, steps } = spot;
  if (rest.length > 0 && isMap<Node, Node | null>(value))
    return [value.flow ? addToFlow(value, rest, spelling) : addToBlock(text, value, spot, spelling)];
  if (holder === undefined) return [appendLines(text, text.length, writeLines(rest, spelling, "", spot.indentStep))];
  if (rest.length === 0) return replaceValue(text, holder, value, spelling);
  // `null` says that there is no map: a map takes its place.
  if (isScalar(value) && value.value === null && !isEmpty(value))
    return replaceValue(text, holder, value, writeFlow(rest, spelling));
  // The key gets a map for its value; where it has a value already, the result is refused.
  const { map: parent, pair } = steps.at(-1) ?? {};
  if (parent === undefined || pair !== holder) return [];
  const colon = endOfColon(pair);
  if (parent.flow) return [{ start: colon, end: colon, text: ` ${writeFlow(rest, spelling)}` }];
  const indent = " ".repeat(indentOf(text, parent) + spot.indentStep);
  return [appendLines(text, endOfLine(text, colon), writeLines(rest, spelling, indent, spot.indentStep))];
}

function replaceValue(text: string, holder: AnyPair | Node, value: Node | null, spelling: string): Splice[] {
  const [start, end] = rangeOf(value);
  if ("key" in holder) {
    const colon = endOfColon(holder);
    if (isEmpty(value)) return [{ start: colon, end: colon, text: `${hasColon(holder) ? "" : ":"} ${spelling}` }];
    if (isCollection(value) && !value.flow) {
      // The comment behind the colon stays; the lines of the map or list are removed.
      const lines = { start: startOfLine(text, start), end: endOfLine(text, endOfValue(value)), text: "" };
      return [{ start: colon, end: colon, text: ` ${spelling}` }, lines];
    }
  }
  // A block of text ends with its line break, which is not part of the new value.
  const lineBreak = /\r?\n$/.exec(text.slice(start, end))?.[0] ?? "";
  return [{ start, end, text: spelling + lineBreak }];
}

function addToFlow(map: AnyMap, rest: readonly string[], spelling: string): Splice {
  const last = map.items.at(-1);
  const entry = writeFlow(rest, spelling).slice(2, -2);
  if (last === undefined) {
    const [start, end] = rangeOf(map);
    return { start, end, text: `{ ${entry} }` };
  }
  const end = endOfPair(last);
  return { start: end, end, text: `, ${entry}` };
}

/** Inserts behind the last key, and behind the comments that are indented like its content. */
function addToBlock(text: string, map: AnyMap, { rest, indentStep }: Spot, spelling: string): Splice {
  const indent = indentOf(text, map);
  const deeper = new RegExp(String.raw`(?:[ \t]*\r?\n)* {${indent + 1},}#[^\n]*(?:\n|$)`, "y");
  let at = endOfLine(text, endOfValue(map));
  for (deeper.lastIndex = at; deeper.test(text);) at = deeper.lastIndex;
  return appendLines(text, at, writeLines(rest, spelling, " ".repeat(indent), indentStep));
}

function appendLines(text: string, at: number, lines: readonly string[]): Splice {
  const eol = /\r?\n/.exec(text)?.[0] ?? "\n";
  const before = at === 0 || text[at - 1] === "\n" ? "" : eol;
  return { start: at, end: at, text: before + lines.map((line) => line + eol).join("") };
}

function writeLines(keys: readonly string[], spelling: string, indent: string, step: number): string[] {
  return keys.map(
    (key, depth) =>
      `${indent}${" ".repeat(depth * step)}${writeKey(key)}:${depth === keys.length - 1 ? ` ${spelling}` : ""}`,
  );
}

function writeFlow(keys: readonly string[], spelling: string): string {
  return keys.reduceRight((inner, key) => `{ ${writeKey(key)}: ${inner} }`, spelling);
}

function writeKey(key: string): string {
  return parse(key) === key ? key : JSON.stringify(key);
}

function spliceAway(text: string, path: KeyPath): Splice[] {
  // A map that would be empty is removed as a whole, except the root.
  const step = findSpot(text, path).steps.findLast(({ map }, depth) => depth === 0 || map.items.length > 1);
  if (step === undefined) return [];
  const { map, pair } = step;
  const [start] = rangeOf(pair.key);
  if (!map.flow) return [{ start: startOfLine(text, start), end: endOfLine(text, endOfPair(pair)), text: "" }];
  const at = map.items.indexOf(pair);
  const [before, after] = [map.items[at - 1], map.items[at + 1]];
  if (after !== undefined) return [{ start, end: rangeOf(after.key)[0], text: "" }];
  const end = endOfPair(pair);
  // The last key takes the comma before it along, but not a comment, which is about the key before.
  const comma = before === undefined ? start : endOfPair(before);
  return [{ start: text.slice(comma, start).includes("#") ? start : comma, end, text: "" }];
}

function apply(text: string, splices: readonly Splice[]): string {
  return splices
    .toSorted((a, b) => b.start - a.start)
    .reduce((edited, splice) => edited.slice(0, splice.start) + splice.text + edited.slice(splice.end), text);
}
