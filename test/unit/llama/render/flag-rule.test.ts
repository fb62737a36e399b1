import { describe, expect, test } from "vitest";
import { FlagCatalogue } from "../../../../src/llama/ask/flag-catalogue.ts";
import { parseHelp } from "../../../../src/llama/ask/help-text.ts";
import {
  allows,
  formatFloat,
  noFlag,
  passValue,
  sidecarPath,
  unlessLacking,
  valueRule,
} from "../../../../src/llama/render/flag-rule.ts";
import { makeProfile } from "../../../support/llama-help.ts";

const help = `-m,    --model FNAME                    model path
--switch                                turns it on
--two START END                         a range
--any N                                 a number
--word {a,b}                            one of two
--words a,b,none                        some of three
--turn [on|off|auto]                    one of three
`;
const catalogue = new FlagCatalogue("v7", parseHelp(help));
const lacking = {
  kind: "impossible",
  message: "llama.cpp v7 has no flag for key",
  fix: "remove the key, or use a build that has one",
};

test.each([
  ["a build without the flag", ["--none"], "1", lacking],
  ["a flag that takes no value", ["--switch"], "1", lacking],
  ["a flag that takes two values", ["--two"], "1", lacking],
  ["a flag that takes any value", ["--any"], "1", { kind: "flags", args: ["--any", "1"] }],
  ["the first of two flags", ["--none", "--any", "--word"], "c", { kind: "flags", args: ["--any", "c"] }],
  ["a value of the list", ["--word"], "b", { kind: "flags", args: ["--word", "b"] }],
  [
    "a value outside the list",
    ["--word"],
    "c",
    { kind: "impossible", message: 'key "c" is not known to llama.cpp v7', fix: "it takes a, b" },
  ],
])("%s: %j %s", (_, flags, value, outcome) => {
  expect(passValue(catalogue, "key", flags, value)).toStrictEqual(outcome);
});

test.each<[string, string, boolean]>([
  ["--any", "whatever", true],
  ["--word", "a,b", false],
  ["--words", "a,b", true],
  ["--words", "a,c", false],
  ["--words", "c,a", false],
  ...["on", "enabled", "true", "1", "off", "disabled", "false", "0", "auto", "-1"].map(
    (word): [string, string, boolean] => ["--turn", word, true],
  ),
  ["--turn", "2", false],
  ["--turn", "yes", false],
  ["--word", "true", false],
])("%s allows %s: %s", (name, value, expected) => {
  const match = catalogue.find(name);
  expect(match !== undefined && allows(match, value)).toBe(expected);
});

test("words for a switch need the word that they mean in the list", () => {
  const allowed = (list: string, value: string) => {
    const match = new FlagCatalogue("x", parseHelp(`${help}${`--t [${list}]`.padEnd(40)}x\n`)).find("--t");
    return match !== undefined && allows(match, value);
  };
  expect(["1", "0", "-1"].map((value) => allowed("on|x", value))).toEqual([true, false, false]);
  expect(["1", "0", "-1"].map((value) => allowed("off|x", value))).toEqual([false, true, false]);
  expect(["1", "0", "-1"].map((value) => allowed("auto|x", value))).toEqual([false, false, true]);
  expect(["enabled", "true"].map((value) => allowed("on|x", value))).toEqual([true, true]);
  expect(["disabled", "false"].map((value) => allowed("off|x", value))).toEqual([true, true]);
});

test.each([
  [1, "1.0"],
  [0, "0.0"],
  [-2, "-2.0"],
  [0.95, "0.95"],
  [1e-7, "1e-7"],
])("%s is %s in llama.cpp's notation", (value, text) => {
  expect(formatFloat(value)).toBe(text);
});

describe("a rule for a flag that a server works without", () => {
  const source = (values: object) => ({
    program: "llama-server" as const,
    values: makeProfile({ ...values }).values,
    models: { target: "/m" },
    catalogue,
  });
  const rule = (name: string) =>
    unlessLacking(
      "not needed",
      valueRule("alias", [name], ({ alias }) => alias),
    );

  test("says nothing of a key that is not set, on any build", () => {
    expect(rule("--none").render(source({}))).toBeUndefined();
    expect(rule("--any").render(source({}))).toBeUndefined();
  });

  test("leaves the key out where the flag is missing, and only there", () => {
    expect(rule("--none").render(source({ alias: "c" }))).toEqual({ kind: "left-out", reason: "not needed" });
    expect(rule("--any").render(source({ alias: "c" }))).toEqual({ kind: "flags", args: ["--any", "c"] });
    expect(rule("--word").render(source({ alias: "c" }))).toMatchObject({ kind: "impossible" });
    expect(rule("--switch").render(source({ alias: "c" }))).toEqual(noFlag(catalogue, "alias"));
  });
});

test("a sidecar file has the path of the profile, or that of the download; none is a fault of llmctl", () => {
  const models = { target: "/m", sidecars: new Map([["lora.0", "/cache/a.gguf"]]) };
  const remote = { hf: "o/r", file: "a.gguf" };
  expect(sidecarPath(models, "lora.0", "/own.gguf")).toBe("/own.gguf");
  expect(sidecarPath(models, "lora.0", remote)).toBe("/cache/a.gguf");
  expect(() => sidecarPath(models, "lora.1", remote)).toThrow("a profile with lora.1 is rendered without its file");
  expect(() => sidecarPath({ target: "/m" }, "mmproj", remote)).toThrow(
    "a profile with mmproj is rendered without its file",
  );
});
