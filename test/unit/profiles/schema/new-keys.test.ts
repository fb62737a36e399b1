import { readdirSync, readFileSync } from "node:fs";
import { isAbsolute } from "node:path";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { launchSettings } from "../../../../src/llama/plan/launch-settings.ts";
import { resolvePaths } from "../../../../src/profiles/expand.ts";
import { type JsonSchema, profileJsonSchema } from "../../../../src/profiles/schema/json-schema.ts";
import { profileSchema } from "../../../../src/profiles/schema/schema.ts";
import { makeSource, toPlain } from "../../../../src/profiles/yaml/located.ts";
import { readYaml } from "../../../../src/profiles/yaml/read-yaml.ts";
import { makeProfile } from "../../../support/llama-help.ts";
import { checkout } from "../../../support/checkout.ts";

// A new key is written into the schema; these tests name the other place that it needs. That every key for the server
// becomes a flag is in test/unit/llama/render/render-any.test.ts.

interface Key {
  readonly path: readonly string[];
  readonly schema: JsonSchema;
}

function listKeys({ properties = {} }: JsonSchema, above: readonly string[] = []): Key[] {
  return Object.entries(properties).flatMap(([name, schema]) => {
    const path = [...above, name];
    return [{ path, schema }, ...listKeys(schema, path)];
  });
}

const keys = listKeys(profileJsonSchema());

function nest([name = "", ...rest]: readonly string[], value: unknown): Record<string, unknown> {
  return { [name]: rest.length === 0 ? value : nest(rest, value) };
}

test.each(
  keys
    .filter(({ schema }) => schema.description?.includes("(relative to this YAML file"))
    .map(({ path, schema }) => [path.join("."), path, schema] as const),
)("%s becomes an absolute path: it is in a list of expand.ts", (_, path, schema) => {
  const value = path.join(".") === "server.host" ? "run/a.sock" : schema.type === undefined ? "a.gguf" : "a";
  const isList = schema.type === "array";
  const source = makeSource("p", "/profiles/p.yaml", "/profiles");
  const { root } = readYaml(JSON.stringify(nest(path, isList ? [value] : value)), source);
  let found: unknown = toPlain(resolvePaths(root, { HOME: "/home/me" }));
  for (const name of path) found = (found as Readonly<Record<string, unknown>>)[name];
  const text = isList ? (found as readonly unknown[])[0] : found;
  expect(isAbsolute(String(text))).toBe(true);
});

describe("a key that is for llmctl and not for the server changes the launch", () => {
  const groups = ["health", "restart", "stop", "log", "orphan", "depends_on"];
  const before = JSON.stringify(launchSettings(makeProfile({})));

  test.each(
    keys
      .filter(({ path: [group = ""], schema }) => groups.includes(group) && schema.properties === undefined)
      .map(({ path }) => [path.join("."), path] as const),
  )("%s: it is in launchSettings", (_, path) => {
    const key = keys.find((one) => one.path === path);
    const others = candidates(key?.schema ?? {}).filter(
      (value) => profileSchema.safeParse({ model: "m", ...nest(path, value) }).success,
    );
    const changed = others.some((value) => JSON.stringify(launchSettings(makeProfile(nest(path, value)))) !== before);
    expect(changed).toBe(true);
  });
});

/** Values of every type; the schema accepts some of them. */
function candidates({ enum: words = [] }: JsonSchema): unknown[] {
  return [...words, true, false, 7, "7s", "7MiB", "other", ["other"]];
}

/** Keys of `draft` that do not change the memory of the draft model. */
const noMemory = ["model", "type", "n_max", "n_min", "p_min", "ngram_size", "threads", "on_mismatch", "on_loss"];

test("every key of draft that takes memory is in the question for the draft model's memory (draftArguments)", () => {
  const folder = join(checkout, "src/llama/plan");
  const files = readdirSync(folder).map((name) => readFileSync(join(folder, name), "utf8"));
  const asking = files.map((text) => /function draftArguments\([^]*?\n\}/.exec(text)?.[0]).find(Boolean) ?? "";
  expect(asking).toContain("fitArguments");
  const draft = keys.filter(({ path }) => path[0] === "draft" && path.length === 2).map(({ path }) => path[1] ?? "");
  expect(draft.filter((name) => !noMemory.includes(name) && !new RegExp(`\\b${name}\\b`).test(asking))).toEqual([]);
});
