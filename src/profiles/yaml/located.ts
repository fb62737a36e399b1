import { relative } from "node:path";
import type { Problem } from "../../base/errors.ts";
import type { Fix } from "../../base/fix.ts";

/** The YAML file of one profile. */
export interface SourceText {
  readonly name: string;
  /** Absolute. */
  readonly path: string;
  /** The path for messages: relative to the working directory when the file is beneath it. */
  readonly shown: string;
}

/** A place in a file; line and column start at 1. */
export interface SourcePlace {
  readonly source: SourceText;
  readonly line: number;
  readonly column: number;
}

/** A value of a profile's file with its place, before it gets a meaning. */
export type Located = LocatedMap | LocatedList | LocatedScalar;

export interface LocatedMap {
  readonly kind: "map";
  readonly entries: ReadonlyMap<string, LocatedEntry>;
  readonly place: SourcePlace;
}

/** One `key: value`; `place` is the key's. */
export interface LocatedEntry {
  readonly place: SourcePlace;
  readonly value: Located;
}

interface LocatedList {
  readonly kind: "list";
  readonly items: readonly Located[];
  readonly place: SourcePlace;
}

export interface LocatedScalar {
  readonly kind: "scalar";
  readonly value: string | number | boolean | null;
  /** The text in the file, for messages. */
  readonly text: string;
  /** Set when `${env:…}` was replaced in it. */
  readonly expanded?: true;
  readonly place: SourcePlace;
}

export type KeyPath = readonly (string | number)[];

/** A problem with its place as data, so that problems can be sorted by place. */
export interface ProfileProblem {
  readonly message: string;
  readonly place: SourcePlace;
  readonly fix?: Fix;
}

export function makeSource(name: string, path: string, cwd: string): SourceText {
  const below = relative(cwd, path);
  return { name, path, shown: below.startsWith("..") ? path : below };
}

/** `file:line:column`. */
export function showPlace(place: SourcePlace): string {
  return `${place.source.shown}:${place.line}:${place.column}`;
}

export function toProblem(finding: ProfileProblem): Problem {
  const { message, place, fix } = finding;
  return { message, at: showPlace(place), ...(fix === undefined ? {} : { fix }) };
}

/** A key as users write it: `draft.devices[0]`. */
export function showKey(path: KeyPath): string {
  return path.reduce<string>(
    (text, key) => (typeof key === "number" ? `${text}[${key}]` : text === "" ? key : `${text}.${key}`),
    "",
  );
}

/** The value at a key, with the place of the key (of a list item its own); undefined when the key is not written. */
export function findLocated(root: Located, path: KeyPath): LocatedEntry | undefined {
  let found: LocatedEntry | undefined = { place: root.place, value: root };
  for (const key of path) found = found && step(found.value, key);
  return found;
}

function step(from: Located, key: string | number): LocatedEntry | undefined {
  if (from.kind === "map") return from.entries.get(String(key));
  const item = from.kind === "list" && typeof key === "number" ? from.items[key] : undefined;
  return item && { place: item.place, value: item };
}

/** The place of the key, or of its nearest ancestor that is written; else that of the root. */
export function nearestPlace(root: Located, path: KeyPath): SourcePlace {
  for (let length = path.length; length > 0; length -= 1) {
    const found = findLocated(root, path.slice(0, length));
    if (found) return found.place;
  }
  return root.place;
}

export function toPlain(written: Located): unknown {
  if (written.kind === "scalar") return written.value;
  if (written.kind === "list") return written.items.map(toPlain);
  return Object.fromEntries([...written.entries].map(([key, entry]) => [key, toPlain(entry.value)]));
}

/**
 * Keys of one map that exclude each other: a child profile that has one of them removes the other one of its parent.
 */
export const exclusiveKeys: readonly (readonly [string, string])[] = [
  ["quant", "file"],
  ["build", "binary"],
  ["cpu_moe", "n_cpu_moe"],
  ["chat_template", "chat_template_file"],
];

/**
 * The forms of a reference to a file; the first key of each tells which form it is. A child profile that uses one form
 * removes the keys of the other form of its parent.
 */
const fileForms = [
  ["hf", "quant", "file", "revision"],
  ["url", "sha256"],
] as const;

function putFormsAside(entries: Map<string, LocatedEntry>, child: LocatedMap): void {
  for (const form of fileForms) {
    const isOther = entries.has(form[0]) && !form.some((key) => child.entries.has(key));
    if (isOther && fileForms.some((other) => other.some((key) => child.entries.has(key))))
      form.forEach((key) => entries.delete(key));
  }
  // A digest belongs to one address.
  if (child.entries.has("url")) entries.delete("sha256");
}

/** Merges a child over its parent: maps merge, lists and single values replace. Every value keeps its place. */
export function merge(parent: LocatedMap, child: LocatedMap): LocatedMap {
  const entries = new Map(parent.entries);
  for (const pair of exclusiveKeys) {
    if (pair.some((key) => child.entries.has(key))) pair.forEach((key) => entries.delete(key));
  }
  putFormsAside(entries, child);
  for (const [key, entry] of child.entries) {
    const under = entries.get(key)?.value;
    const both = under?.kind === "map" && entry.value.kind === "map";
    entries.set(key, both ? { place: entry.place, value: merge(under, entry.value) } : entry);
  }
  return { kind: "map", entries, place: child.place };
}

/** A copy without the keys of a map, and of the maps in it, that are written as `null`. An empty value is none. */
export function withoutNulls(map: LocatedMap): LocatedMap {
  const entries = [...map.entries]
    .filter(([, { value }]) => !isWrittenNull(value))
    .map(
      ([key, { place, value }]) => [key, { place, value: value.kind === "map" ? withoutNulls(value) : value }] as const,
    );
  return { ...map, entries: new Map(entries) };
}

/** `null` or `~`: an empty value is more often a line that was not finished. */
function isWrittenNull(value: Located): boolean {
  return value.kind === "scalar" && value.value === null && value.text !== "";
}

type Change = (scalar: LocatedScalar, path: KeyPath) => Located;

/** A copy in which `change` was applied to every single value. */
export function mapScalars(written: Located, change: Change, path: KeyPath = []): Located {
  if (written.kind === "scalar") return change(written, path);
  if (written.kind === "list")
    return { ...written, items: written.items.map((item, index) => mapScalars(item, change, [...path, index])) };
  return mapMap(written, change, path);
}

/** As {@link mapScalars}, for a map. */
export function mapMap(map: LocatedMap, change: Change, path: KeyPath = []): LocatedMap {
  const entries = [...map.entries].map(
    ([key, entry]) => [key, { place: entry.place, value: mapScalars(entry.value, change, [...path, key]) }] as const,
  );
  return { ...map, entries: new Map(entries) };
}
