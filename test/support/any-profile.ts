import fc from "fast-check";
import { type JsonSchema, profileJsonSchema, type TypeName, typesOf } from "../../src/profiles/schema/json-schema.ts";

export type Values = Readonly<Record<string, unknown>>;

/** Keys that configure llmctl and not the server; and raw flags, for which random text is never valid. */
const elsewhere = new Set([
  "extends",
  "description",
  "model",
  "model_dirs",
  "env",
  "args",
  "llama",
  "health",
  "restart",
  "stop",
  "log",
  "orphan",
  "depends_on",
]);

/** Random values that the schema accepts; each key that reaches the server is present or absent. */
export function anyProfileValues(): fc.Arbitrary<Values> {
  const { properties = {} } = profileJsonSchema();
  return anyMap(
    Object.fromEntries(Object.entries(properties).filter(([key]) => !elsewhere.has(key))),
  ) as fc.Arbitrary<Values>;
}

/** The JSON Schema requires no key, because a profile that extends another may leave out any. */
function isRequired(key: string, properties: Readonly<Record<string, JsonSchema>>): boolean {
  return ["hf", "path", "url"].includes(key) || (key === "file" && !("quant" in properties));
}

function anyMap(properties: Readonly<Record<string, JsonSchema>>): fc.Arbitrary<unknown> {
  const shape = Object.fromEntries(
    Object.entries(properties).map(([key, schema]) => {
      const value = anyValue(key, schema);
      return [key, isRequired(key, properties) ? value : fc.option(value, { nil: undefined, freq: 2 })];
    }),
  );
  return fc.record(shape).map((values) => JSON.parse(JSON.stringify(values)) as unknown);
}

const word = fc.stringMatching(/^[A-Za-z0-9./_-]{1,12}$/);

function anyValue(key: string, schema: JsonSchema): fc.Arbitrary<unknown> {
  if (key === "type")
    return fc.constantFrom(
      "draft-simple",
      "ngram-mod",
      "draft-mtp",
      "ngram-simple",
      "ngram-mod,draft-simple",
      "none",
      "foo",
    );
  // No null: loading removes the keys that have it.
  if (schema.anyOf !== undefined)
    return fc.oneof(...schema.anyOf.filter(({ type }) => type !== "null").map((one) => anyValue(key, one)));
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum.filter((one) => one !== null));
  if (schema.const !== undefined) return fc.constant(schema.const);
  const types = typesOf(schema).filter((type) => type !== "null");
  return fc.oneof(...types.map((type) => anyOfType(type, key, schema)));
}

function anyOfType(type: Exclude<TypeName, "null">, key: string, schema: JsonSchema): fc.Arbitrary<unknown> {
  const { minimum: min = -1000, maximum: max = 1_000_000 } = schema;
  switch (type) {
    case "integer":
      return fc.integer({ min, max });
    case "number":
      return fc.double({ min, max, noNaN: true });
    case "boolean":
      return fc.boolean();
    case "string":
      return schema.pattern === undefined ? word : fc.stringMatching(new RegExp(schema.pattern));
    case "array":
      return fc.array(anyValue(key, schema.items ?? {}), { minLength: schema.minItems ?? 0, maxLength: 3 });
    case "object":
      return schema.properties === undefined
        ? fc.dictionary(word, anyValue(key, schema.additionalProperties || {}), { maxKeys: 3 })
        : anyMap(schema.properties);
  }
}
