import { toOneLine } from "../../base/text/control-characters.ts";
import { writeYamlInLine } from "../../base/text/yaml-text.ts";
import { type JsonSchema, profileJsonSchema, schemaAt } from "./json-schema.ts";
import type { ModelRef } from "./schema.ts";

/** The content of a new profile. */
export interface NewProfile {
  /** The schema for the editor: a path, relative to the profile or absolute, or an address. */
  readonly schema: string;
  readonly description?: string;
  readonly extends?: string;
  /** Paths are written as they are here. */
  readonly model?: ModelRef;
  readonly draft?: ModelRef;
  readonly ctxSize?: number;
  readonly port?: number | "auto";
}

/** Keys that users look for first; each is offered as a comment with its example. */
const offered = [
  "model_dirs",
  "ctx_size",
  "gpu_layers",
  "devices",
  "parallel",
  "flash_attn",
  "draft",
  "sampling",
  "server",
  "args",
];

/** The text of a new profile: the given keys, and below them some more as comments. */
export function newProfileText(profile: NewProfile): string {
  const { schema, description, model, draft, ctxSize, port } = profile;
  const keys = {
    ...(description === undefined ? {} : { description }),
    ...(profile.extends === undefined ? {} : { extends: profile.extends }),
    ...(model === undefined ? {} : { model }),
    ...(ctxSize === undefined ? {} : { ctx_size: ctxSize }),
    ...(draft === undefined ? {} : { draft: { model: draft } }),
    ...(port === undefined ? {} : { server: { port } }),
  };
  return [
    `# yaml-language-server: $schema=${toOneLine(schema)}`,
    ...origin(profile),
    ...writeKeys(keys),
    "",
    ...offer(Object.keys(keys)),
  ]
    .map((line) => `${line}\n`)
    .join("");
}

function origin(profile: NewProfile): string[] {
  if (profile.extends === undefined) return [];
  return [
    "#",
    `# Keys that are not here come from ${toOneLine(profile.extends)}. ` +
      '"llmctl profile show" prints every value and its origin.',
  ];
}

/** A map at the top level is a block, so that a key can be added below; its values stay on one line. */
function writeKeys(keys: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(keys).flatMap(([key, value]) =>
    typeof value === "object" && value !== null && key !== "model"
      ? [
          `${key}:`,
          ...Object.entries(value).map(([inner, one]: [string, unknown]) => `  ${inner}: ${writeYamlInLine(one)}`),
        ]
      : [`${key}: ${writeYamlInLine(value)}`],
  );
}

function offer(written: readonly string[]): string[] {
  const schema = profileJsonSchema();
  const lines = offered.filter((key) => !written.includes(key)).map((key) => offerKey(key, schemaAt(schema, [key])));
  const width = Math.max(...lines.map(([text]) => text.length));
  return [
    '# More keys: remove the first "# " of a line to use it. All keys: llmctl profile schema',
    ...lines.map(([text, about]) => `${text.padEnd(width)}  # ${about}`),
  ];
}

function offerKey(key: string, schema: JsonSchema | undefined): readonly [string, string] {
  return [`# ${key}: ${writeYamlInLine(schema?.examples?.[0])}`, schema?.description ?? ""];
}
