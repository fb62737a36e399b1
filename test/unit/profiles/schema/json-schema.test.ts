import { readdirSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { parseDuration, parseSize } from "../../../../src/base/text/units.ts";
import { profileSchemaText } from "../../../../src/cli/profile/profile.ts";
import { type JsonSchema, profileJsonSchema, schemaAt } from "../../../../src/profiles/schema/json-schema.ts";
import { profileSchema } from "../../../../src/profiles/schema/schema.ts";

function allKeys(schema: JsonSchema, path = ""): [string, JsonSchema][] {
  const own = Object.entries(schema.properties ?? {}).map(([key, child]): [string, JsonSchema] => [
    path === "" ? key : `${path}.${key}`,
    child,
  ]);
  return [
    ...own.flatMap(([key, child]) => [[key, child] as [string, JsonSchema], ...allKeys(child, key)]),
    ...(schema.anyOf ?? []).flatMap((one) => allKeys(one, path)),
  ];
}

const keys = allKeys(profileJsonSchema());

test("the committed schema is the generated one", async () => {
  // When this fails: npx tsx scripts/write-schema.ts
  const committed = await readFile(new URL("../../../../schema/profile.schema.json", import.meta.url), "utf8");
  expect(committed).toBe(profileSchemaText());
});

test("the schema is JSON Schema 2020-12", () => {
  expect(profileJsonSchema()).toHaveProperty("$schema", "https://json-schema.org/draft/2020-12/schema");
});

test("every key has a description and an example", () => {
  expect(keys.length).toBeGreaterThan(100);
  expect(keys.filter(([, { description = "" }]) => !/\S/.test(description)).map(([key]) => key)).toEqual([]);
  expect(keys.filter(([, { examples = [] }]) => examples.length === 0).map(([key]) => key)).toEqual([]);
});

test("every example is accepted as the value of its key", () => {
  const refused = keys.flatMap(([key, { examples = [] }]) =>
    examples.filter((example) => {
      const value = key.split(".").reduceRight<unknown>((inner, name) => ({ [name]: inner }), example);
      const issues = profileSchema.safeParse({ model: "m", ...(value as object) }).error?.issues ?? [];
      // An example of one key of a model reference has no other keys beside it.
      return issues.some((issue) => issue.path.join(".") === key);
    }),
  );
  expect(refused).toEqual([]);
});

test("an editor accepts null for the draft and for its keys, and for no other key", () => {
  const validate = new Ajv2020({ strict: false }).compile(profileJsonSchema());
  const draft = schemaAt(profileJsonSchema(), ["draft"]);
  for (const key of Object.keys(draft?.properties ?? {}))
    expect([key, validate({ draft: { [key]: null } })]).toEqual([key, true]);
  expect(validate({ draft: null })).toBe(true);
  expect(validate({ draft: { model: { hf: "a/b", revision: null } } })).toBe(true);
  expect(validate({ sampling: null })).toBe(false);
  expect(validate({ draft: { n_max: "many" } })).toBe(false);
});

test("a profile that extends another may omit any key", () => {
  expect(JSON.stringify(profileJsonSchema())).not.toContain('"required"');
  expect(profileSchema.safeParse({ extends: "base" }).success).toBe(true);
});

describe("the patterns agree with the reader of units", () => {
  const matches = (key: string, text: string) => {
    const [home = "", name = ""] = key.split(".");
    return profileSchema.safeParse({ model: "m", [home]: { [name]: text } }).success;
  };
  test.each(["90s", "1.5h", "500 ms", "0s", "3d", "5", "s", "5 minutes", "1.s", "-1s", "1e3s", "5  s", ""])(
    "duration %j",
    (text) => {
      expect(matches("stop.timeout", text)).toBe(parseDuration(text) !== undefined);
    },
  );
  test.each(["8GiB", "500 MB", "64B", "1.5TiB", "8G", "8gib", "KB", "1 KiB ps", "1iB", "64"])("size %j", (text) => {
    expect(matches("log.max_size", text)).toBe(parseSize(text) !== undefined);
  });
});

test("a key is found inside alternatives", () => {
  expect(schemaAt(profileJsonSchema(), ["draft", "model", "hf"])?.title).toBe("a repository written as owner/name");
  expect(schemaAt(profileJsonSchema(), ["constructor"])).toBeUndefined();
});

describe("an editor that uses the schema of a shipped profile's first line", () => {
  const folder = join(import.meta.dirname, "../../../../profiles");
  const compiled = new Map<string, ValidateFunction>();

  /** Each schema once: compiling takes longer than all tests of this file. */
  function compile(path: string): ValidateFunction {
    const known = compiled.get(path);
    if (known !== undefined) return known;
    const schema = JSON.parse(readFileSync(path, "utf8")) as object;
    const validate = new Ajv2020({
      strict: true,
      strictTypes: false,
      allErrors: true,
      code: { optimize: false },
    }).compile(schema);
    compiled.set(path, validate);
    return validate;
  }

  /** Validates as an editor does, by the schema that the text itself names. */
  function findProblems(file: string, text: string): readonly unknown[] {
    const named = /^# yaml-language-server: \$schema=(\S+)$/m.exec(text)?.[1] ?? "";
    const validate = compile(resolve(dirname(join(folder, file)), named));
    validate(parse(text));
    return validate.errors ?? [];
  }

  test.each(readdirSync(folder))("finds nothing wrong in %s", (file) => {
    expect(findProblems(file, readFileSync(join(folder, file), "utf8"))).toEqual([]);
  });

  test.each([
    ["an unknown key", "ctx_sise: 4", { params: { additionalProperty: "ctx_sise" } }],
    [
      "an unknown key in a map",
      "draft: { n_mx: 4 }",
      { instancePath: "/draft", params: { additionalProperty: "n_mx" } },
    ],
    ["a wrong type", "ctx_size: many", { instancePath: "/ctx_size", keyword: "type" }],
    ["a number out of range", "server: { port: 70000 }", { instancePath: "/server/port", keyword: "maximum" }],
    [
      "a word that is not one of the choices",
      "flash_attn: yes please",
      { instancePath: "/flash_attn", keyword: "enum" },
    ],
    ["a duration without a unit", "stop: { timeout: '5' }", { instancePath: "/stop/timeout", keyword: "pattern" }],
  ])("finds %s", (_, line, problem) => {
    const text = `# yaml-language-server: $schema=../schema/profile.schema.json\n${line}\n`;
    expect(findProblems("new.yaml", text)).toContainEqual(expect.objectContaining(problem));
  });
});
