import { relative } from "node:path";
import type { Problem } from "../../base/errors.ts";
import type { Fix } from "../../base/fix.ts";

/** The YAML file of one profile. */
export interface SourceText {
  readonly name: string;
  /** Absolute. */
  readonly path: string;
  /** For people: relative to the working directory when the file is beneath it. */
  readonly shown: string;
}

/** Where something stands; line and column from 1. */
export interface SourcePlace {
  readonly source: SourceText;
  readonly line: number;
  readonly column: number;
}

/** What was written in a profile's file, before any meaning is given to it. */
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
  /** As it stands in the file, for messages. */
  readonly text: string;
  /** Set when `${env:…}` was replaced in it. */
  readonly expanded?: true;
  readonly place: SourcePlace;
}

export type KeyPath = readonly (string | number)[];

/** A problem that still knows its place, so that all of them can be put in the order of the file. */
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

/** A key as people write it: `draft.devices[0]`. */
export function showKey(path: KeyPath): string {
  return path.reduce<string>(
    (text, key) => (typeof key === "number" ? `${text}[${key}]` : text === "" ? key : `${text}.${key}`),
    "",
  );
}

/** What was written at a key, with the key's place (a list item's own); undefined when nobody wrote it. */
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

/** The place of the key, or of its nearest written ancestor; the root's when there is none. */
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

/** Keys of one map of which only one can be given: naming one in a child profile puts the parent's other aside. */
export const exclusiveKeys: readonly (readonly [string, string])[] = [
  ["quant", "file"],
  ["build", "binary"],
  ["cpu_moe", "n_cpu_moe"],
  ["chat_template", "chat_template_file"],
];

/**
 * Keys that say where a file is, the first of which tells the form: a child profile that uses one form puts the keys of
 * the parent's aside.
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
  // A digest is that of one address.
  if (child.entries.has("url")) entries.delete("sha256");
}

/**
 * The child over its parent: maps merge, lists and single values replace. Every value keeps the place where it was
 * written.
 */
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

type Change = (scalar: LocatedScalar, path: KeyPath) => Located;

/** A copy with every single value passed through `change`. */
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
