import { isMap, isScalar, isSeq, type Node, type Pair, type Scalar, type YAMLMap } from "yaml";

// Where the parts of a parsed text are: offsets in UTF-16 units, an end behind the last one.

export type AnyMap = YAMLMap<Node, Node | null>;
export type AnyPair = Pair<Node, Node | null>;

/** `key:` without anything behind it. */
export function isEmpty(value: Node | null): value is null | Scalar<null> {
  return value === null || (isScalar(value) && value.value === null && value.source === "");
}

/** A key in a flow map may have none: `{ mmap }`. */
export function hasColon(pair: AnyPair): boolean {
  return findColon(pair) !== undefined;
}

function findColon(pair: AnyPair) {
  return pair.srcToken?.sep?.find((token) => token.type === "map-value-ind");
}

/** Where a value would begin; behind the key where there is no colon. */
export function endOfColon(pair: AnyPair): number {
  const colon = findColon(pair);
  return colon === undefined ? rangeOf(pair.key)[1] : colon.offset + 1;
}

export function endOfPair(pair: AnyPair): number {
  return isEmpty(pair.value) ? endOfColon(pair) : endOfValue(pair.value);
}

/**
 * The offset behind the last character of the value. A block map's own range includes comments and blank lines behind
 * it.
 */
export function endOfValue(value: Node): number {
  if (isMap<Node, Node | null>(value) && !value.flow) {
    const last = value.items.at(-1);
    if (last !== undefined) return endOfPair(last);
  }
  if (isSeq<Node>(value) && !value.flow) {
    const last = value.items.at(-1);
    if (last !== undefined) return endOfValue(last);
  }
  return rangeOf(value)[1];
}

/** Where a value starts and ends. Every value that was parsed has its place. */
export function rangeOf(value: Node | null): readonly [start: number, end: number] {
  const [start = 0, end = 0] = value?.range ?? [];
  return [start, end];
}

/** A byte order mark is not part of the first line. */
export function startOfLine(text: string, offset: number): number {
  return Math.max(text.lastIndexOf("\n", offset - 1) + 1, text.startsWith("\uFEFF") ? 1 : 0);
}

/**
 * The offset behind the line break. An offset at the start of a line, where a block of text ends, is the end of the
 * line before.
 */
export function endOfLine(text: string, offset: number): number {
  if (text[offset - 1] === "\n") return offset;
  const end = text.indexOf("\n", offset);
  return end < 0 ? text.length : end + 1;
}

/** The column of the keys of a map. */
export function indentOf(text: string, map: AnyMap): number {
  const [start] = rangeOf(map.items[0]?.key ?? null);
  return start - startOfLine(text, start);
}

/** The indentation of the file's first nested map. */
export function findIndentStep(text: string, root: Node | null): number {
  if (!isMap<Node, Node | null>(root)) return 2;
  const nested = root.items.map((pair) => pair.value).find((value) => isMap<Node, Node | null>(value) && !value.flow);
  const step = nested === undefined ? 0 : indentOf(text, nested as AnyMap) - indentOf(text, root);
  return step > 0 ? step : 2;
}
