import fc from "fast-check";
import { type JsonSchema, profileJsonSchema, typesOf } from "../../src/profiles/schema/json-schema.ts";

/** Texts that in some format end a line, a word, a value or a section, or are replaced. */
const pieces = [
  ..."\0\u0001\b\t\n\v\f\r\u001b\u007f\u0080\u0085\u009b\u00a0\u2028\u2029\ufeff\ufffe\uffff".split(""),
  ..."\\\"'`%$;#:,=[]{}()<>&|*?!~- a/é".split(""),
  "\ud800",
  "😀",
  "\r\n",
  "%n",
  "%%",
  "$HOME",
  "${HOME}",
  "$(HOME)",
  "$$",
  "\n[Service]\nExecStart=/bin/false\n",
  "\rExecStart=/bin/false\r",
  "\n  evil: true\n",
  "\u2028evil: true\u2028",
  "\u0085[Service]\u0085",
  "\\\n",
  " ; /bin/false ; ",
  ":/etc:rw",
  "]]></string><key>evil</key><true/>",
  "&#10;",
  "\n---\nevil: true\n...\n",
  "true",
  "0o14",
  "1e3",
  "<<",
];

/** Short text made of such pieces. */
export const hostileText: fc.Arbitrary<string> = fc
  .array(fc.constantFrom(...pieces), { minLength: 1, maxLength: 5 })
  .map((parts) => parts.join(""));

/** As {@link hostileText}, without characters that the system does not allow in paths and variables. */
export const hostilePath: fc.Arbitrary<string> = hostileText.map((text) => `/${text.replaceAll(/[\0\p{Cs}]/gu, "")}`);

type Path = readonly (string | number)[];

/** A key of a profile that takes text: where it is, and a profile with a value there. */
export interface TextKey {
  readonly name: string;
  readonly with: (text: string) => Readonly<Record<string, unknown>>;
}

/** Every key that takes text by the schema, also in lists, maps and alternatives; new keys are found automatically. */
export function textKeys(): TextKey[] {
  return [...findTexts(profileJsonSchema(), [])].map(({ path, fill }) => ({
    name: path.join("."),
    with: (text) => fill(text) as Readonly<Record<string, unknown>>,
  }));
}

interface Found {
  readonly path: Path;
  readonly fill: (text: string) => unknown;
}

function* findTexts(schema: JsonSchema, path: Path): Generator<Found> {
  if (schema.anyOf !== undefined) {
    for (const one of schema.anyOf) yield* findTexts(one, path);
  } else if (schema.enum === undefined && schema.const === undefined) {
    for (const type of typesOf(schema)) {
      if (type === "string") yield { path, fill: (text) => text };
      if (type === "array") yield* findInList(schema, path);
      if (type === "object") yield* findInMap(schema, path);
    }
  }
}

function* findInList({ items = {} }: JsonSchema, path: Path): Generator<Found> {
  // Raw arguments begin with a flag that the build knows.
  const before = path.length === 1 && path[0] === "args" ? ["--grammar"] : [];
  for (const one of findTexts(items, [...path, before.length]))
    yield { ...one, fill: (text) => [...before, one.fill(text)] };
}

function* findInMap({ properties, additionalProperties }: JsonSchema, path: Path): Generator<Found> {
  if (properties === undefined) {
    const name = path.at(-1) === "args" ? "--grammar" : "NAME";
    for (const one of findTexts(additionalProperties || {}, [...path, name]))
      yield { ...one, fill: (text) => ({ [name]: one.fill(text) }) };
    return;
  }
  const needed = siblings(properties, path);
  for (const [key, schema] of Object.entries(properties)) {
    const others = Object.fromEntries(Object.entries(needed).filter(([other]) => !excludes(key, other)));
    for (const one of findTexts(schema, [...path, key]))
      yield { ...one, fill: (text) => ({ ...others, [key]: one.fill(text) }) };
  }
}

/** The values that a map must have. */
function siblings(properties: Readonly<Record<string, JsonSchema>>, path: Path): Record<string, unknown> {
  if (path.length === 0 || path.at(-1) === "draft") return { model: "/models/m.gguf" };
  if ("hf" in properties)
    return { hf: "owner/repo", ...("quant" in properties ? { quant: "Q8_0" } : { file: "f.gguf" }) };
  if ("url" in properties) return { url: "https://models.example/m.gguf" };
  return "path" in properties ? { path: "/models/a.gguf" } : {};
}

function excludes(one: string, other: string): boolean {
  return one === "file" && other === "quant";
}
