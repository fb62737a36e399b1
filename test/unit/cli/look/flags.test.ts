import { describe, expect, test } from "vitest";
import { describeFlags, searchFlags } from "../../../../src/cli/look/flags.ts";
import { findFlagRule } from "../../../../src/llama/render/flag-table.ts";
import { readCatalogue } from "../../../support/llama-help.ts";

const all = readCatalogue("v0.5.0").entries.map((entry) => ({
  ...entry,
  key: findFlagRule([...entry.names, ...entry.negations])?.key,
}));
const search = (word: string) => searchFlags(all, word).map(({ names }) => names.at(-1));

describe("a word", () => {
  test.each([
    ["--ctx-size", ["--ctx-size"]],
    ["-c", ["--ctx-size"]],
    ["--no-mmproj", ["--mmproj-auto"]],
    ["--ctx_size", ["--ctx-size"]],
    ["-C", ["--cpu-mask"]],
    ["--spec-draft-n-m", ["--spec-draft-n-max", "--spec-draft-n-min"]],
    ["draft.n_max", ["--spec-draft-n-max", "--draft-max"]],
    ["LLAMA_ARG_CACHE_REUSE", ["--cache-reuse"]],
    ["idleness", ["--sleep-idle-seconds"]],
    ["nothing like it", []],
  ])("%j finds %j", (word, names) => {
    expect(search(word)).toEqual(names);
  });
});

test("everything known about a flag is shown", () => {
  expect(describeFlags("t", searchFlags(all, "--flash-attn"), false)).toBe(`# t

common
  -fa, --flash-attn [on|off|auto]
      set Flash Attention use ('on', 'off', or 'auto', default: 'auto')
      key of a profile: flash_attn
      takes: on, off, auto
      default: auto
      variable: LLAMA_ARG_FLASH_ATTN
`);
});

test("a removed flag is shown with its successor and its key", () => {
  expect(describeFlags("t", searchFlags(all, "--draft-max"), false)).toContain(
    "removed, use --spec-draft-n-max or --spec-ngram-mod-n-max\n      key of a profile: draft.n_max\n",
  );
  expect(describeFlags("t", searchFlags(all, "--draft-max"), true)).toContain("(removed, use --spec-draft-n-max");
});

test("without a word every flag has one line", () => {
  const lines = describeFlags("t", all, true).split("\n");
  expect(lines.filter((line) => line.startsWith("  -"))).toHaveLength(all.length);
  expect(lines).toContain("  -c, --ctx-size N  # ctx_size");
});
