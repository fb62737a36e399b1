import { expect, test } from "vitest";
import { newProfileText } from "../../../../src/profiles/schema/new-profile-text.ts";
import { ProfileFolder } from "../../../support/profile-folder.ts";

const schema = "../profile.schema.json";

test("a new profile has the given values, and names its schema first", async () => {
  const text = newProfileText({
    schema,
    description: "GLM: mine",
    model: { hf: "a/b", quant: "Q4_0" },
    draft: "/models/draft #1.gguf",
    ctxSize: 8192,
    port: "auto",
  });
  expect(text.split("\n")[0]).toBe("# yaml-language-server: $schema=../profile.schema.json");
  expect(text).toContain("model: { hf: a/b, quant: Q4_0 }\n");
  await using folder = await ProfileFolder.create({ "near/new.yaml": text });
  expect((await folder.load("new")).values).toMatchObject({
    description: "GLM: mine",
    model: { hf: "a/b", quant: "Q4_0" },
    draft: { model: "/models/draft #1.gguf" },
    ctx_size: 8192,
    server: { port: "auto" },
  });
});

test("each key that it suggests in a comment is valid unchanged", async () => {
  const text = newProfileText({ schema, extends: "base" });
  const offers = text.split("\n").filter((line) => /^# \w+: /.test(line));
  expect(offers.length).toBeGreaterThan(8);
  await using folder = await ProfileFolder.create({ "near/base.yaml": "model: /m.gguf\n", "near/new.yaml": text });
  await folder.load("new");
  for (const offer of offers) {
    const key = /^# (\w+):/.exec(offer)?.[1] ?? "";
    await folder.write("near/new.yaml", text.replace(offer, offer.slice(2)));
    expect((await folder.load("new")).at(key)).toMatch(/^near\/new\.yaml:\d+:1$/);
  }
});

test("it suggests no key twice", () => {
  expect(newProfileText({ schema, model: "m.gguf", ctxSize: 1 })).not.toMatch(/^# (?:model|ctx_size): /m);
});
