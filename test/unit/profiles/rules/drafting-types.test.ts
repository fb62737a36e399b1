import { describe, expect, test } from "vitest";
import { draftingTypes, needsDraftModel } from "../../../../src/profiles/rules/drafting-types.ts";
import { readCatalogue, serverBuilds } from "../../../support/llama-help.ts";

describe.each(serverBuilds)("the drafting types of %s", (build) => {
  // The recipe for a new type starts here: add the help text of a build that has it, and this test names the type.
  test("are all in the table", () => {
    const offered = readCatalogue(build).find("--spec-type")?.entry.choices ?? [];
    expect(offered.filter((type) => !Object.hasOwn(draftingTypes, type))).toEqual([]);
  });
});

test.each([
  ["draft-simple", true],
  ["draft-eagle3", true],
  ["draft-mtp", false],
  ["ngram-mod", false],
  ["ngram-unheard-of", false],
  ["none", false],
  ["draft-unheard-of", true],
  ["constructor", true],
])("%s needs a draft model: %s", (type, expected) => {
  expect(needsDraftModel(type)).toBe(expected);
});
