import fc from "fast-check";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { LlmctlError } from "../../../src/base/errors.ts";
import { setInYaml } from "../../../src/profiles/yaml/edit-yaml.ts";
import { loadProfile } from "../../../src/profiles/load.ts";
import { parseValueArgument } from "../../../src/profiles/yaml/value-argument.ts";
import { newProfileText } from "../../../src/profiles/schema/new-profile-text.ts";
import { makeSource } from "../../../src/profiles/yaml/located.ts";
import { hostileText } from "../../support/hostile-values.ts";

/** Text that a command line and a file can contain. */
const text = hostileText.map((one) => one.replaceAll(/[\0\p{Cs}]/gu, ""));
const steering = /(?!\n)[\p{Cc}\p{Zl}\p{Zp}]/u;

test("a new profile has the given keys with any values", () => {
  fc.assert(
    fc.property(text, text, text, text, (description, model, file, schema) => {
      const written = newProfileText({ schema, description, model, draft: { hf: "o/r", file } });
      expect(parse(written)).toEqual({ description, model, draft: { model: { hf: "o/r", file } } });
      expect(parse(written, { version: "1.1" })).toEqual(parse(written));
      expect(written).not.toMatch(steering);
    }),
    { numRuns: 100 },
  );
});

test("set changes only its key, and leaves no control character in the file", () => {
  const before = "model: /m.gguf # the model\nenv: { A: x }\nalias: y\n";
  fc.assert(
    fc.property(text, fc.constantFrom(["env", "A"], ["env", "B"], ["alias"], ["description"]), (value, path) => {
      const after = setInYaml(
        before,
        path,
        { ...parseValueArgument(`x${value}`, true) },
        makeSource("p", "/p.yaml", "/"),
      );
      const wanted = parse(before) as Record<string, unknown>;
      const [first = "", second] = path;
      wanted[first] = second === undefined ? `x${value}` : { A: "x", [second]: `x${value}` };
      expect(parse(after)).toEqual(wanted);
      expect(after).not.toMatch(steering);
    }),
    { numRuns: 100 },
  );
});

const refuse = async (yaml: string) => {
  const path = "/profiles/p.yaml";
  const load = loadProfile(path, {
    folders: [],
    env: { ODD: "/a\rb" },
    cwd: "/profiles",
    instead: { path, text: yaml },
  });
  return load.then(
    () => undefined,
    (error: unknown) => (error instanceof LlmctlError ? error : Promise.reject(error as Error)),
  );
};

test.each([
  [
    'model: m\nserver:\n  api_key_file: "/etc/a\\nb"',
    '"server.api_key_file" holds a control character, U+000A: "/etc/a\\nb"',
    "p.yaml:3:3",
  ],
  ['model: "m\\e"', '"model" holds a control character, U+001B: "/profiles/m\\u001b"', "p.yaml:1:1"],
  ['model: m\nalias: "a\\L"', '"alias" holds a control character, U+2028: "a\\u2028"', "p.yaml:2:1"],
  [
    'model: m\nmodel_dirs: [/a, "/b\\N"]',
    '"model_dirs[1]" holds a control character, U+0085: "/b\\u0085"',
    "p.yaml:2:18",
  ],
  ['model: { hf: o/r, quant: "Q\\t" }', '"model.quant" holds a control character, U+0009: "Q\\t"', "p.yaml:1:19"],
  [
    'model: m\nllama: { binary: "${env:ODD}" }',
    '"llama.binary" holds a control character, U+000D: "/a\\rb"',
    "p.yaml:2:10",
  ],
  ['model: m\nenv: { A: "\\ud800" }', 'profile "p" holds half of a character', "p.yaml:2:11"],
])("%j is refused with its key, its place and the character", async (yaml, message, at) => {
  expect(await refuse(yaml)).toMatchObject({ message, at, exit: "config", problems: { length: 1 } });
});

test("a line break at the end of a path is explained", async () => {
  expect(await refuse("model: |\n  m.gguf\n")).toMatchObject({ fix: "write the value behind the key, on one line" });
});

test("prose may have several lines", async () => {
  const lines = JSON.stringify("a\n\tb\r\n");
  const yaml =
    `model: m\ndescription: ${lines}\nenv: { A: ${lines} }\nchat_template: ${lines}\nargs: ["--grammar", ` +
    `${lines}]\n`;
  expect(await refuse(`${yaml}chat_template_kwargs: { a: ${lines} }\n`)).toBeUndefined();
});
