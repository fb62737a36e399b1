import { chmod } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { findPaths } from "../../../../src/base/files/paths.ts";
import { findBuildVocabRule, vocabRuleFromFlags } from "../../../../src/llama/draft/build-vocab-rule.ts";
import { readCatalogue, serverBuilds } from "../../../support/llama-help.ts";
import { ProfileFolder } from "../../../support/profile-folder.ts";

test.each([
  ["b7698", "translate"],
  ["b8390", "translate"],
  ["b10068", "strict"],
  ["v0.5.0", "strict"],
])("the rule of %s follows from its flags: %s", (build, rule) => {
  const catalogue = readCatalogue(build);
  expect(serverBuilds).toContain(build);
  expect(vocabRuleFromFlags((flag) => catalogue.has(flag))).toBe(rule);
});

test("a build with neither flag refuses; of both, the one for translating decides", () => {
  const flags = (...names: string[]) => vocabRuleFromFlags((flag) => names.includes(flag));
  expect(flags("--model-draft", "--draft-max")).toBe("refuse");
  expect(flags("--draft-max", "--spec-replace", "--spec-draft-n-max")).toBe("translate");
});

const help = (flag: string) =>
  `#!/bin/sh\necho 'version: 7 (abc)' >&2\ncat <<'END'\n-m,    --model FNAME                    model path\n` +
  `${flag} N                          tokens\nEND\n`;

test("the build of the profile is asked", async () => {
  await using folder = await ProfileFolder.create({ "llama-server": help("--spec-replace") });
  const binary = join(folder.cwd, "llama-server");
  await chmod(binary, 0o755);
  const env = { PATH: process.env["PATH"], LLMCTL_HOME: join(folder.cwd, "home") };
  const asked = await findBuildVocabRule({ llama: { binary }, at: "p.yaml:1:1", paths: findPaths(env), env });
  expect(asked).toEqual({ rule: "translate", build: `${binary}: 7 (abc)`, problem: undefined });
});

test("without a build the rule is that of current llama.cpp, and the problem is told", async () => {
  await using folder = await ProfileFolder.create({});
  const env = { LLMCTL_HOME: folder.cwd };
  expect(await findBuildVocabRule({ llama: {}, at: "p.yaml:1:1", paths: findPaths(env), env })).toEqual({
    rule: "strict",
    build: undefined,
    problem: "no build of llama.cpp is installed",
  });
});

test("a fault of the disk is not taken for a missing build", async () => {
  await using folder = await ProfileFolder.create({ "data/llama.cpp": "a file in the folder's place" });
  const env = { LLMCTL_HOME: folder.cwd };
  await expect(findBuildVocabRule({ llama: {}, at: "here", paths: findPaths(env), env })).rejects.toMatchObject({
    code: "ENOTDIR",
  });
});
