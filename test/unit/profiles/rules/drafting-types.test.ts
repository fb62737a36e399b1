import { describe, expect, test } from "vitest";
import {
  draftingTypes,
  findDraftingType,
  needsDraftModel,
  splitDraftingTypes,
} from "../../../../src/profiles/rules/drafting-types.ts";
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
  ["draft-dflash", true],
  ["draft-dspark", true],
  ["draft-mtp", false],
  ["ngram-mod", false],
  ["ngram-unheard-of", false],
  ["none", false],
  ["draft-unheard-of", true],
  ["constructor", true],
])("%s needs a draft model: %s", (type, expected) => {
  expect(needsDraftModel(type)).toBe(expected);
});

test("a type of n-grams without a row is known by its name alone", () => {
  expect(findDraftingType("ngram-unheard_of2")).toEqual({ source: "ngram", length: "unset" });
  for (const other of ["my-ngram-mod", "ngram-", "ngram-a b", "ngram", "draft-unheard-of"])
    expect(findDraftingType(other)).toBeUndefined();
});

test("types are joined by commas, with or without spaces", () => {
  expect(splitDraftingTypes("ngram-mod, draft-simple ,none")).toEqual(["ngram-mod", "draft-simple", "none"]);
});
