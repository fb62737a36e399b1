import { LlmctlError } from "../../base/errors.ts";
import { printableJson, printableLine } from "../../base/text/printable.ts";
import { changeProfile } from "../../profiles/change-profile.ts";
import { setInYaml, unsetInYaml } from "../../profiles/yaml/edit-yaml.ts";
import { profileJsonSchema, schemaAt } from "../../profiles/schema/json-schema.ts";
import { parseKey } from "../../profiles/yaml/key-path.ts";
import { resolveProfile } from "../../profiles/load.ts";
import { type ValueArgument, parseValueArgument } from "../../profiles/yaml/value-argument.ts";
import { quote } from "../../profiles/yaml/quote-value.ts";
import { findLocated, type KeyPath, showKey, showPlace, toPlain } from "../../profiles/yaml/located.ts";
import { findOwnProfile, noteRunning, type OwnProfile } from "./own-profile.ts";
import { showWritten } from "./profile.ts";
import { print } from "../screen/print.ts";

interface Assignment {
  readonly path: KeyPath;
  readonly value: ValueArgument;
}

/** `profile set NAME KEY=VALUE …`: sets all keys, or none if one is wrong. */
export async function profileSet(nameOrPath: string, words: readonly string[]): Promise<void> {
  const assignments = words.map(readAssignment);
  const own = await findOwnProfile(nameOrPath);
  const { source } = own;
  const isChanged = await change(own, (text) =>
    assignments.reduce((edited, { path, value }) => setInYaml(edited, path, value, source), text),
  );
  await report(
    own,
    isChanged,
    assignments.map(({ path }) => path),
  );
}

/** `profile unset NAME KEY …`: removes keys from this file; a profile that it extends may still give them a value. */
export async function profileUnset(nameOrPath: string, words: readonly string[]): Promise<void> {
  const keys = words.map(readKey);
  const own = await findOwnProfile(nameOrPath);
  const isChanged = await change(own, (text) => keys.reduce((edited, path) => unsetKey(edited, path, own), text));
  await report(own, isChanged, keys);
}

function unsetKey(text: string, path: KeyPath, { source }: OwnProfile): string {
  const edited = unsetInYaml(text, path, source);
  if (edited !== undefined) return edited;
  throw new LlmctlError(
    "key-not-written",
    `profile ${quote(source.name)} does not write ${quote(showKey(path))} itself`,
    {
      exit: "config",
      at: source.shown,
      fix: { before: "", run: ["profile", "show", source.name], after: "says where each value comes from" },
    },
  );
}

function readAssignment(word: string): Assignment {
  const equals = word.indexOf("=");
  if (equals < 0) throw badWord(word, "is not KEY=VALUE", "write it like draft.n_max=8");
  const path = readKey(word.slice(0, equals));
  const typed = word.slice(equals + 1);
  const { type } = schemaAt(profileJsonSchema(), path) ?? {};
  // A key that may be null takes the word as such.
  const isText = type === "string" || (String(type) === "string,null" && typed !== "null" && typed !== "~");
  return { path, value: parseValueArgument(typed, isText) };
}

function readKey(word: string): KeyPath {
  const path = parseKey(word);
  if (path === undefined)
    throw badWord(word, "is not a key", "write it as profile show and errors do, such as draft.n_max");
  return path;
}

function badWord(word: string, what: string, fix: string): LlmctlError {
  return new LlmctlError("usage", `${quote(word)} ${what}`, { exit: "usage", fix });
}

function change({ source, load }: OwnProfile, edit: (text: string) => string): Promise<boolean> {
  return changeProfile(source, edit, load);
}

async function report(own: OwnProfile, isChanged: boolean, keys: readonly KeyPath[]): Promise<void> {
  const { source, load } = own;
  if (!isChanged) {
    print(`${printableLine(source.shown)} has these values already\n`);
    return;
  }
  const { profile, written } = await resolveProfile(source.path, load);
  for (const path of keys) {
    const found = findLocated(written, path);
    const shown = showWritten(written, path);
    const value = shown === undefined ? path.reduce(lookUp, profile.values) : toPlain(shown);
    const origin = found === undefined ? "default" : showPlace(found.place);
    const text = value === undefined ? "not set" : `${printableJson(value)}  # ${printableLine(origin)}`;
    print(`${printableLine(showKey(path))}: ${text}\n`);
  }
  await noteRunning(own);
}

function lookUp(value: unknown, key: string | number): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string | number, unknown>)[key] : undefined;
}
