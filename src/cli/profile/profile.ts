import { sep } from "node:path";
import { findHome } from "../../base/files/home-folder.ts";
import { printableLine, printableJson } from "../../base/text/printable.ts";
import { hasLogin, hidden, maskAddress, maySecretBe } from "../../base/text/secrets.ts";
import { writeYaml, writeYamlInLine } from "../../base/text/yaml-text.ts";
import { listProfiles } from "../../profiles/find.ts";
import { secretFlag } from "../../llama/render/owned-flags.ts";
import { type LoadOptions, resolveProfile, type ResolvedProfile } from "../../profiles/load.ts";
import { profileJsonSchema } from "../../profiles/schema/json-schema.ts";
import { isAddress } from "../../profiles/hub-address.ts";
import {
  findLocated,
  type KeyPath,
  mapScalars,
  showKey,
  showPlace,
  toPlain,
  type Located,
  type LocatedMap,
  type LocatedScalar,
} from "../../profiles/yaml/located.ts";
import { jsonText } from "../screen/json-text.ts";
import { formatTable } from "../../base/text/table.ts";

interface Shown {
  readonly json?: boolean;
}

interface ShownProfile extends Shown {
  /** Only the values that were written, as a profile that extends nothing. */
  readonly resolved?: boolean;
}

/** `profile list`: the text to print. JSON: `[{ name, path, description?, shadowedBy?, problem? }]`. */
export async function profileList(
  folders: readonly string[],
  options: Shown & { readonly width: number },
): Promise<string> {
  const profiles = await listProfiles(folders);
  if (options.json) return jsonText(profiles);
  if (profiles.length === 0) return `no profiles in ${printableLine(folders.join(", "))}\n`;
  const rows = profiles.map((profile) => [
    profile.name,
    shortPath(profile.path),
    profile.shadowedBy !== undefined
      ? `hidden by ${shortPath(profile.shadowedBy)}`
      : (profile.problem ?? profile.description ?? ""),
  ]);
  return formatTable(["NAME", "FILE", "DESCRIPTION"], rows, options.width);
}

/**
 * `profile show NAME`: every value as YAML, each with the place where it was written, or "default". JSON: `{ name,
 * path, values, origins }`, with the origins by key such as `draft.ctx_size`; a default has no origin. With `resolved`:
 * the values that were written in all files of the chain, as the YAML (or JSON) of one profile that extends nothing.
 */
export async function profileShow(nameOrPath: string, load: LoadOptions, options: ShownProfile): Promise<string> {
  const resolved = await resolveProfile(nameOrPath, load);
  if (options.resolved) return showAsProfile(resolved, options);
  const { name, path } = resolved.profile;
  const values = showValues(resolved.profile.values, resolved, []) as object;
  const leaves = listLeaves(values, resolved);
  if (!options.json) return `# profile ${printableLine(`${name} from ${path}`)}\n${alignOrigins(leaves)}`;
  const origins = leaves
    .filter((leaf) => leaf.origin !== "" && leaf.origin !== "default")
    .map((leaf) => [leaf.key, leaf.origin]);
  return jsonText({ name, path, values, origins: Object.fromEntries(origins) });
}

function showAsProfile({ profile, written }: ResolvedProfile, { json }: Shown): string {
  const { extends: _extends, ...shown } = toPlain(showWritten(written) ?? written) as { extends?: string };
  if (json) return jsonText(shown);
  const origin = printableLine(`${profile.name} from ${profile.path}`);
  return `# profile ${origin} and what it extends\n${writeYaml(shown, "1.2")}`;
}

/** `profile schema`: the JSON Schema for editors. */
export function profileSchemaText(): string {
  return jsonText(profileJsonSchema());
}

interface Leaf {
  readonly key: string;
  /** The line of YAML. */
  readonly text: string;
  /** Empty for a line that only opens a map. */
  readonly origin: string;
}

function listLeaves(values: object, resolved: ResolvedProfile, path: KeyPath = []): Leaf[] {
  return Object.entries(values).flatMap(([name, value]: [string, unknown]) => {
    const key = [...path, name];
    // The chain is merged already, so `extends` is not a value of the result.
    if (value === undefined || showKey(key) === "extends") return [];
    const head = `${"  ".repeat(path.length)}${inline(name)}:`;
    if (isMap(value) && Object.keys(value).length > 0) {
      return [{ key: showKey(key), text: head, origin: "" }, ...listLeaves(value, resolved, key)];
    }
    return [{ key: showKey(key), text: `${head} ${inline(value)}`, origin: originOf(key, resolved) }];
  });
}

function originOf(key: KeyPath, { written }: ResolvedProfile): string {
  const found = findLocated(written, key);
  return found ? showPlace(found.place) : "default";
}

function alignOrigins(leaves: readonly Leaf[]): string {
  const width = Math.min(60, Math.max(0, ...leaves.map((leaf) => leaf.text.length)));
  return leaves
    .map(({ text, origin }) => (origin === "" ? `${text}\n` : `${text.padEnd(width)}  # ${printableLine(origin)}\n`))
    .join("");
}

/** One line of YAML. Text that YAML would spread over several lines becomes JSON, which YAML can read as well. */
function inline(value: unknown): string {
  const text = writeYamlInLine(value);
  return text.includes("\n") ? printableJson(value) : text;
}

function showValues(value: unknown, resolved: ResolvedProfile, path: KeyPath): unknown {
  if (Array.isArray(value)) return value.map((item, index) => showValues(item, resolved, [...path, index]));
  if (isMap(value))
    return Object.fromEntries(
      Object.entries(value).map(([key, one]) => [key, showValues(one, resolved, [...path, key])]),
    );
  const written = findLocated(resolved.written, path)?.value;
  return written?.kind === "scalar" ? showScalar(written, path, resolved.written) : value;
}

/** The value that was written at a key, with secrets hidden, for a terminal or a bug report. */
export function showWritten(root: LocatedMap, path: KeyPath = []): Located | undefined {
  const found = findLocated(root, path)?.value;
  return found && mapScalars(found, (scalar, at) => ({ ...scalar, value: showScalar(scalar, at, root) }), path);
}

/** The text as it was written, before the environment was expanded: that may hold secrets. */
function showScalar({ value, text, expanded }: LocatedScalar, path: KeyPath, root: LocatedMap): LocatedScalar["value"] {
  if (path[0] === "env" && maySecretBe(String(path.at(-1)))) return hidden;
  if (path[0] === "args" && isOfSecretFlag(text, path, root)) return hidden;
  const shown = expanded ? text : value;
  return typeof shown === "string" && (isAddress(shown) || hasLogin(shown)) ? maskAddress(shown) : shown;
}

/** A start refuses such a flag, but `profile show` must hide its value before. */
function isOfSecretFlag(text: string, [, key]: KeyPath, root: LocatedMap): boolean {
  if (typeof key === "string") return secretFlag.test(`-${key}`);
  const before = key === undefined ? undefined : findLocated(root, ["args", key - 1])?.value;
  const [name = "", ...value] = text.split(/[= ]/);
  return (
    (value.length > 0 && secretFlag.test(`-${name}`)) || (before?.kind === "scalar" && secretFlag.test(before.text))
  );
}

function isMap(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function shortPath(path: string): string {
  const home = findHome(process.env) + sep;
  return path.startsWith(home) ? `~/${path.slice(home.length)}` : path;
}
