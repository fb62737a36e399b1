import { z } from "zod";
import { profileSchema } from "./schema.ts";

export type TypeName = "integer" | "number" | "boolean" | "string" | "array" | "object" | "null";

/** The part of JSON Schema 2020-12 that profiles use. */
export interface JsonSchema {
  readonly title?: string;
  readonly description?: string;
  readonly examples?: readonly unknown[];
  readonly type?: TypeName | readonly TypeName[];
  readonly const?: string | number | boolean;
  readonly enum?: readonly (string | number | boolean | null)[];
  readonly anyOf?: readonly JsonSchema[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly pattern?: string;
  readonly minItems?: number;
  readonly items?: JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | false;
}

/**
 * The JSON Schema of a profile as it is written: editors check it, and error messages take their words from it. No key
 * is required, because the profile named by `extends` can complete any map; the rules ask for `model` after the merge.
 */
export function profileJsonSchema(): JsonSchema {
  made ??= makeSchema();
  return made;
}

/** Made once: every error in a profile needs it, and it never changes. */
let made: JsonSchema | undefined;

function makeSchema(): JsonSchema {
  const schema = z.toJSONSchema(profileSchema, {
    io: "input",
    override: ({ jsonSchema }) => {
      delete jsonSchema.required;
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
    },
  }) as JsonSchema;
  const { draft = {} } = schema.properties ?? {};
  return { ...schema, properties: { ...schema.properties, draft: allowNull(draft) } };
}

/** Loading removes a key of `draft` that is null, so the profile's schema never sees one; a written profile may. */
function allowNull(schema: JsonSchema): JsonSchema {
  if (schema.anyOf) return { ...schema, anyOf: [...schema.anyOf.map(allowNullWithin), { type: "null" }] };
  const within = allowNullWithin(schema);
  return {
    ...within,
    ...(schema.enum === undefined ? {} : { enum: [...schema.enum, null] }),
    type: [...typesOf(schema), "null"],
  };
}

function allowNullWithin(schema: JsonSchema): JsonSchema {
  if (schema.properties === undefined) return schema;
  const entries = Object.entries(schema.properties).map(([key, own]) => [key, allowNull(own)] as const);
  return { ...schema, properties: Object.fromEntries(entries) };
}

/** The schema of one key; undefined for an unknown key. */
export function schemaAt(schema: JsonSchema, path: readonly (string | number)[]): JsonSchema | undefined {
  let found: JsonSchema | undefined = schema;
  for (const key of path) found = found && child(found, key);
  return found;
}

function child(schema: JsonSchema, key: string | number): JsonSchema | undefined {
  if (schema.anyOf) return schema.anyOf.map((option) => child(option, key)).find((option) => option !== undefined);
  if (typeof key === "number") return schema.items;
  if (schema.properties) return Object.hasOwn(schema.properties, key) ? schema.properties[key] : undefined;
  return schema.additionalProperties || undefined;
}

/** All keys of a map's schema, with those of its alternatives. */
export function keysOf(schema: JsonSchema | undefined): string[] {
  const own = Object.keys(schema?.properties ?? {});
  return [...own, ...(schema?.anyOf ?? []).flatMap(keysOf)];
}

/**
 * The kinds of value that a schema accepts, one phrase per alternative: `["a whole number of at least 0", "auto",
 * "all"]`.
 */
export function expectations(schema: JsonSchema): string[] {
  if (schema.title !== undefined) return [schema.title];
  if (schema.anyOf) return schema.anyOf.flatMap(expectations);
  if (schema.enum) return schema.enum.filter((one) => one !== null).map(String);
  if (schema.const !== undefined) return [String(schema.const)];
  return typesOf(schema).flatMap((type) => expectation(type, schema));
}

/** The types of a schema that has no alternatives. */
export function typesOf({ type = "object" }: JsonSchema): readonly TypeName[] {
  return typeof type === "string" ? [type] : type;
}

function expectation(type: TypeName, schema: JsonSchema): string[] {
  switch (type) {
    case "integer":
      return [`a whole number${range(schema)}`];
    case "number":
      return [`a number${range(schema)}`];
    case "boolean":
      return ["true", "false"];
    case "string":
      return ["text"];
    case "array":
      return [schema.minItems === undefined ? "a list" : "a list with at least one item"];
    case "object":
      return ["a map of keys"];
    case "null":
      return [];
  }
}

function range({ minimum, maximum }: JsonSchema): string {
  if (minimum !== undefined && maximum !== undefined) return ` from ${minimum} to ${maximum}`;
  return minimum === undefined ? "" : ` of at least ${minimum}`;
}
