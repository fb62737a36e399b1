import { sep } from "node:path";
import { findHome } from "../base/home-folder.ts";
import { printableJson, printableLine } from "../base/printable.ts";
import { writeYaml, writeYamlInLine } from "../base/yaml-text.ts";
import { listProfiles } from "../profiles/find.ts";
import { type LoadOptions, resolveProfile, type ResolvedProfile } from "../profiles/load.ts";
import { profileJsonSchema } from "../profiles/json-schema.ts";
import { findWritten, type KeyPath, showKey, showPlace, toPlain } from "../profiles/written.ts";
import { jsonText } from "./json-text.ts";
import { formatTable } from "./table.ts";

interface Shown {
  readonly json?: boolean;
}

interface ShownProfile extends Shown {
  /** Only what was written, in a form that is a profile by itself. */
  readonly resolved?: boolean;
}

/** Names in `env` whose values are not for a terminal or a bug report. */
const secretName = /key|token|secret|passw/i;

/** `profile list`: the text to print. JSON: `[{ name, path, description?, shadowedBy?, problem? }]`. */
export async function profileList(folders: readonly string[], options: Shown & { readonly width: number }): Promise<string> {
  const profiles = await listProfiles(folders);
  if (options.json) return jsonText(profiles);
  if (profiles.length === 0) return `no profiles in ${printableLine(folders.join(", "))}\n`;
  const rows = profiles.map((profile) => [
    profile.name,
    shortPath(profile.path),
    profile.shadowedBy !== undefined ? `hidden by ${shortPath(profile.shadowedBy)}` : (profile.problem ?? profile.description ?? ""),
  ]);
  return formatTable(["NAME", "FILE", "DESCRIPTION"], rows, options.width);
}

/**
 * `profile show NAME`: every value as YAML, each with where it was written, or "default". JSON: `{ name, path, values, origins }`, the
 * origins by key such as `draft.ctx_size`, without those nobody wrote. With `resolved`: what was written in all files that it is made from,
 * as the YAML (or JSON) of one profile that extends nothing.
 */
export async function profileShow(nameOrPath: string, load: LoadOptions, options: ShownProfile): Promise<string> {
  const resolved = await resolveProfile(nameOrPath, load);
  if (options.resolved) return showWritten(resolved, options);
  const { name, path } = resolved.profile;
  const leaves = listLeaves(hideSecrets(resolved.profile.values), resolved);
  if (!options.json) return `# profile ${printableLine(`${name} from ${path}`)}\n${alignOrigins(leaves)}`;
  const origins = leaves.filter((leaf) => leaf.origin !== "" && leaf.origin !== "default").map((leaf) => [leaf.key, leaf.origin]);
  return jsonText({ name, path, values: hideSecrets(resolved.profile.values), origins: Object.fromEntries(origins) });
}

function showWritten({ profile, written }: ResolvedProfile, { json }: Shown): string {
  const { extends: _extends, ...values } = toPlain(written) as { extends?: string; env?: Readonly<Record<string, string>> };
  const shown = values.env === undefined ? values : hideSecrets({ ...values, env: values.env });
  return json
    ? jsonText(shown)
    : `# profile ${printableLine(`${profile.name} from ${profile.path}`)} and what it extends\n${writeYaml(shown, "1.2")}`;
}

/** `profile schema`: the JSON Schema that editors use. */
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
    // The chain is already merged: as a profile of its own, this one starts from nothing.
    if (value === undefined || showKey(key) === "extends") return [];
    const head = `${"  ".repeat(path.length)}${inline(name)}:`;
    if (isMap(value) && Object.keys(value).length > 0) {
      return [{ key: showKey(key), text: head, origin: "" }, ...listLeaves(value, resolved, key)];
    }
    return [{ key: showKey(key), text: `${head} ${inline(value)}`, origin: originOf(key, resolved) }];
  });
}

function originOf(key: KeyPath, { written }: ResolvedProfile): string {
  const found = findWritten(written, key);
  return found ? showPlace(found.place) : "default";
}

function alignOrigins(leaves: readonly Leaf[]): string {
  const width = Math.min(60, Math.max(0, ...leaves.map((leaf) => leaf.text.length)));
  return leaves.map(({ text, origin }) => (origin === "" ? `${text}\n` : `${text.padEnd(width)}  # ${printableLine(origin)}\n`)).join("");
}

/** One line of YAML; text that YAML would spread over lines is written as JSON, which YAML also reads. */
function inline(value: unknown): string {
  const text = writeYamlInLine(value);
  return text.includes("\n") ? printableJson(value) : text;
}

function hideSecrets<T extends { readonly env: Readonly<Record<string, string>> }>(values: T): T {
  const env = Object.entries(values.env).map(([name, value]) => [name, secretName.test(name) ? "(hidden)" : value]);
  return { ...values, env: Object.fromEntries(env) };
}

function isMap(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function shortPath(path: string): string {
  const home = findHome(process.env) + sep;
  return path.startsWith(home) ? `~/${path.slice(home.length)}` : path;
}
