import { dirname, join, resolve } from "node:path";
import type { Env } from "../base/environment.ts";
import { findHome } from "../base/files/home-folder.ts";
import { isSecret } from "../base/text/secrets.ts";
import { isSocketHost } from "./rules/host-kinds.ts";
import { isAddress, readHubAddress } from "./hub-address.ts";
import { quote } from "./yaml/quote-value.ts";
import {
  type ProfileProblem,
  mapMap,
  nearestPlace,
  showKey,
  type LocatedMap,
  type LocatedScalar,
} from "./yaml/located.ts";

/** Keys whose value is an address or a path; `*` stands for every item of a list. */
export const addressKeys: readonly string[] = ["model", "draft.model", "mmproj", "lora.*"];

/** Keys whose value is a path if it is text. */
export const pathKeys: readonly string[] = [
  "model_dirs.*",
  "lora.*.path",
  "chat_template_file",
  "server.api_key_file",
  "server.slot_save_path",
  "llama.binary",
];

/**
 * The most characters that variables may add to a profile. A variable may have 128 kB, and a profile of 1 MiB can name
 * some hundred thousand.
 */
const mostExpanded = 4 << 20;

/**
 * Replaces `${env:NAME}` and `${env:NAME:-default}` in every text value; the default also replaces an empty variable.
 * The result is always text, and there is no escape. `extends` is left alone because it was followed before.
 */
export function expandEnv(
  root: LocatedMap,
  env: Env,
): { readonly root: LocatedMap; readonly findings: readonly ProfileProblem[] } {
  const findings: ProfileProblem[] = [];
  const budget = { left: mostExpanded };
  const expanded = mapMap(root, (scalar, path) => {
    if (typeof scalar.value !== "string" || !scalar.value.includes("${env:") || path[0] === "extends") return scalar;
    const report = (message: string, fix: string) =>
      findings.push({ message: `${quote(showKey(path))} ${message}`, place: nearestPlace(root, path), fix });
    // Any other value may end up on a command line, which every user of the machine can read.
    const isPrivate = path[0] === "env" || isAddress(scalar.value);
    return { ...scalar, value: expandText(scalar.value, { env, report, budget, isPrivate }), expanded: true };
  });
  return { root: expanded, findings };
}

interface Expansion {
  readonly env: Env;
  readonly report: (message: string, fix: string) => void;
  readonly budget: { left: number };
  /** The value appears in no message. */
  readonly isPrivate: boolean;
}

function expandText(text: string, { env, budget, isPrivate, ...expansion }: Expansion): string {
  const told = new Set<string>();
  const report = (message: string, fix: string) => {
    if (!told.has(message)) expansion.report(message, fix);
    told.add(message);
  };
  const shown = isPrivate ? "" : `: ${quote(text)}`;
  const tellUnread = () =>
    report(`has a reference that cannot be read${shown}`, "write ${env:NAME} or ${env:NAME:-default}");
  let isTold = budget.left < 0;
  const spend = (value: string) => {
    budget.left -= value.length;
    if (budget.left >= 0) return value;
    if (!isTold)
      report(
        `and the values before it have more than ${mostExpanded} characters, variables included`,
        "name fewer variables, or shorter ones",
      );
    isTold = true;
    return "";
  };
  // The pattern would search from each reference to the end of the text: it only gets the text up to the last bracket.
  const end = text.lastIndexOf("}") + 1;
  if (text.includes("${env:", end)) tellUnread();
  const expanded = text
    .slice(0, end)
    .replace(/\$\{env:(?:([A-Za-z_]\w*)(?::-([^}]*))?\})?/g, (whole: string, name?: string, standard?: string) => {
      if (name === undefined) {
        tellUnread();
        return whole;
      }
      if (!isPrivate && isSecret(name)) {
        report(
          `uses the environment variable ${quote(name)}, which is a secret by its name, in a value that others can see`,
          "use it only in env",
        );
        return whole;
      }
      const value = Object.hasOwn(env, name) ? env[name] : undefined;
      if (standard !== undefined) return spend(value || standard);
      if (value === undefined)
        report(
          `uses the environment variable ${quote(name)}, which is not set`,
          `set it, or write \${env:${name}:-default}`,
        );
      return value === undefined ? whole : spend(value);
    });
  return expanded + text.slice(end);
}

/**
 * Makes every path absolute. `~/` is the home folder, and `file:` may precede a path; other paths are relative to the
 * YAML file that holds them. An http(s) address in place of a model becomes the map that it stands for.
 */
export function resolvePaths(root: LocatedMap, env: Env): LocatedMap {
  const home = findHome(env);
  return mapMap(root, (scalar, path) => {
    const key = path.map((part) => (typeof part === "number" ? "*" : part)).join(".");
    if (addressKeys.includes(key)) return readAddress(scalar) ?? resolvePath(scalar, home);
    return pathKeys.includes(key) || (key === "server.host" && isSocketPath(scalar.value))
      ? resolvePath(scalar, home)
      : scalar;
  });
}

/** A URL is reported as such and does not become a path. */
function isSocketPath(host: LocatedScalar["value"]): boolean {
  return typeof host === "string" && isSocketHost(host) && !/^[a-z][a-z0-9+.-]*:/i.test(host);
}

/** An address at Hugging Face names a file of a repository there; any other a file of some server. */
function readAddress(scalar: LocatedScalar): LocatedMap | undefined {
  const { value, place } = scalar;
  if (!isAddress(value)) return undefined;
  const map = readHubAddress(value) ?? { url: value.replace(/^https?/i, (scheme) => scheme.toLowerCase()) };
  const entries = Object.entries(map).map(
    ([key, text]: [string, string]) => [key, { place, value: { ...scalar, value: text } }] as const,
  );
  return { kind: "map", entries: new Map(entries), place };
}

function resolvePath(scalar: LocatedScalar, home: string): LocatedScalar {
  const { value } = scalar;
  if (typeof value !== "string" || value === "" || isAddress(value)) return scalar;
  const plain = withoutScheme(value);
  const path =
    plain === "~" || plain.startsWith("~/")
      ? join(home, plain.slice(1))
      : resolve(dirname(scalar.place.source.path), plain);
  return { ...scalar, value: path };
}

/** `file:///models/a%20b.gguf` is a URL, `file:../models/a.gguf` is not; people write both. */
function withoutScheme(text: string): string {
  if (/^file:\/\/(?:localhost)?\//i.test(text)) return decodeOrKeep(new URL(text).pathname);
  return text.replace(/^file:(?!\/\/)/i, "");
}

function decodeOrKeep(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path; // a lone "%" stands for itself
  }
}
