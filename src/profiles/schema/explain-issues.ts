import type { z } from "zod";
import { findClosest } from "../../base/text/closest.ts";
import { maskAddress } from "../../base/text/secrets.ts";
import { expectations, type JsonSchema, keysOf, schemaAt } from "./json-schema.ts";
import { joinOr, quote } from "../yaml/quote-value.ts";
import {
  type ProfileProblem,
  findLocated,
  type KeyPath,
  nearestPlace,
  showKey,
  type Located,
  type LocatedMap,
} from "../yaml/located.ts";

type Issue = z.core.$ZodIssue;

interface Explained {
  readonly root: LocatedMap;
  readonly schema: JsonSchema;
}

/** The problems that the schema found, in words of llmctl: which key, what it must be, what was written, and where. */
export function explainIssues(issues: readonly Issue[], context: Explained): ProfileProblem[] {
  return issues.flatMap((issue) => explain(issue, [], context));
}

function explain(issue: Issue, under: KeyPath, context: Explained): ProfileProblem[] {
  // YAML keys are text and list positions are numbers; no path here has a symbol.
  const path: KeyPath = [...under, ...issue.path.filter((key) => typeof key !== "symbol")];
  if (issue.code === "unrecognized_keys") return issue.keys.map((key) => unknownKey(key, path, context));
  if (issue.code === "invalid_key") return [badName(path, context)];
  const meant = issue.code === "invalid_union" ? chooseBranch(issue.errors, path, context) : undefined;
  return meant ? meant.flatMap((inner) => explain(inner, path, context)) : [wrongValue(path, context)];
}

/**
 * A map was meant as the alternative that is a map and has most of its keys; the problems of that one say more than
 * "none fits".
 */
function chooseBranch(
  branches: readonly (readonly Issue[])[],
  path: KeyPath,
  { root }: Explained,
): readonly Issue[] | undefined {
  if (findLocated(root, path)?.value.kind !== "map") return undefined;
  const maps = branches.filter((issues) =>
    issues.every((issue) => issue.path.length > 0 || issue.code === "unrecognized_keys"),
  );
  return maps.toSorted((one, other) => countUnknown(one) - countUnknown(other))[0];
}

/** The number of keys that an alternative does not have. */
function countUnknown(issues: readonly Issue[]): number {
  return issues.reduce((sum, issue) => sum + (issue.code === "unrecognized_keys" ? issue.keys.length : 0), 0);
}

function unknownKey(key: string, path: KeyPath, { root, schema }: Explained): ProfileProblem {
  const place = nearestPlace(root, [...path, key]);
  const where = path.length === 0 ? "" : ` in ${quote(showKey(path))}`;
  const message = `profile ${quote(place.source.name)} has an unknown key ${quote(key)}${where}`;
  return { message, place, fix: suggestKey(key, path, schema) };
}

function suggestKey(key: string, path: KeyPath, schema: JsonSchema): string {
  const known = keysOf(schemaAt(schema, path));
  if (known.includes(key)) return `remove it: it does not go with the other keys of ${quote(showKey(path))}`;
  const near = findClosest(key, known);
  if (near !== undefined) return `did you mean ${quote(near)}?`;
  const homes = ["", ...keysOf(schema)].filter((home) =>
    keysOf(schemaAt(schema, home === "" ? [] : [home])).includes(key),
  );
  if (homes.length > 0)
    return `write it ${joinOr(homes.map((home) => (home === "" ? "at the top level" : `under ${quote(home)}`)))}`;
  return `the keys here are: ${known.join(", ")}`;
}

function badName(path: KeyPath, { root }: Explained): ProfileProblem {
  // The text behind an equals sign was meant as the value, which may be secret.
  const [name = ""] = String(path.at(-1)).split("=", 1);
  return {
    message: `${quote(showKey(path.slice(0, -1)))} has the name ${quote(name)}, which no environment variable can have`,
    place: nearestPlace(root, path),
    fix: "use letters, digits and underscores, not starting with a digit",
  };
}

/** A number or a word that lacks quotes: `1`, `true`. */
const longestPlain = 4;

function wrongValue(path: KeyPath, { root, schema }: Explained): ProfileProblem {
  const place = nearestPlace(root, path);
  const written = findLocated(root, path)?.value;
  if (!written) return missing(path, place);
  const expected = expectations(schemaAt(schema, path) ?? {});
  // A value of the server's environment appears in no message, unless it is too short for a secret.
  const isHidden = path[0] === "env" && !(written.kind === "scalar" && written.text.length <= longestPlain);
  const fix = isHidden
    ? "put the value in quotes, or write env as a map of names and values"
    : suggestValue(written, expected);
  const message = `${quote(showKey(path))} must be ${joinOr(expected)}${isHidden ? "" : `, ${butIs(written)}`}`;
  return { message, place, ...(fix === undefined ? {} : { fix }) };
}

function missing(path: KeyPath, place: ProfileProblem["place"]): ProfileProblem {
  const home = path.length < 2 ? `profile ${quote(place.source.name)}` : quote(showKey(path.slice(0, -1)));
  return { message: `${home} has no ${quote(String(path.at(-1)))}`, place, fix: `add ${quote(String(path.at(-1)))}` };
}

function butIs(written: Located): string {
  if (written.kind === "map") return "not a map";
  if (written.kind === "list") return written.items.length === 0 ? "not an empty list" : "not a list";
  if (written.value === null || written.value === "") return "but it is empty";
  if (written.expanded) return `not what ${quote(written.text)} gives`;
  if (typeof written.value !== "string") return `not ${written.text}`;
  return `not ${quote(written.value.includes("://") ? maskAddress(written.value) : written.value)}`;
}

function suggestValue(written: Located, expected: readonly string[]): string | undefined {
  if (written.kind !== "scalar" || written.value === null) return undefined;
  const { value, text } = written;
  if (typeof value !== "string")
    return expected.some((phrase) => /^(text|the path)/.test(phrase)) ? `put it in quotes: "${text}"` : undefined;
  const plain =
    expected.some((phrase) => /number|^true$/.test(phrase)) &&
    (/^-?\d+(\.\d+)?$/.test(value) || /^(true|false)$/.test(value));
  if (plain && written.expanded) return "write the value itself: ${env:…} always gives text";
  if (plain) return `write it without quotes: ${value}`;
  const near = findClosest(value, expected);
  return near === undefined ? undefined : `did you mean ${quote(near)}?`;
}
