import { describe, expect, test } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import { type FlagEntry, helpLimits, parseHelp } from "../../../../src/llama/ask/help-text.ts";
import { oldHelp, readHelp, serverBuilds } from "../../../support/llama-help.ts";

const captures = ["llama-cli-b7698", "llama-cli-v0.5.0", ...serverBuilds.map((build) => `llama-server-${build}`)];

/** Options, spellings and env names counted straight from the text, by other means than the parser's. */
function countIndependently(text: string) {
  const lines = text.split("\n").filter((line) => line.startsWith("-") && !line.startsWith("-----"));
  const spellings = lines.flatMap((line) => /^(?:-[-\w.]+(?:, +)?)+/.exec(line)?.[0].split(/, +/) ?? []);
  return { options: lines.length, spellings, envs: text.match(/\(env: \w+\)/g)?.length ?? 0 };
}

function find(entries: readonly FlagEntry[], name: string): FlagEntry {
  const entry = entries.find(({ names }) => names.includes(name));
  if (entry === undefined) throw new Error(`no entry ${name}`);
  return entry;
}

function choicesOf(capture: string): Record<string, string> {
  const listed = parseHelp(readHelp(capture)).filter(({ choices }) => choices !== undefined);
  return Object.fromEntries(listed.map(({ names, choices }) => [names.at(-1), choices?.join(" ")]));
}

describe.each(captures)("%s", (capture) => {
  const text = readHelp(capture);
  const entries = parseHelp(text);
  const counted = countIndependently(text);

  test("every option is parsed and none is invented", () => {
    expect(entries).toHaveLength(counted.options);
    expect(entries.filter(({ env }) => env !== undefined)).toHaveLength(counted.envs);
    const spellings = entries.flatMap(({ names, negations }) => [...names, ...negations]);
    expect(new Set(spellings).size).toBe(spellings.length);
    expect([...spellings].sort()).toEqual([...counted.spellings].sort());
  });

  test("every entry has a well-formed head, help and section", () => {
    for (const entry of entries) {
      for (const name of [...entry.names, ...entry.negations]) expect(name).toMatch(/^-{1,2}[A-Za-z][\w.-]*$/);
      expect(entry.hints.length).toBeLessThanOrEqual(2);
      expect(entry.help).not.toBe("");
      expect(["common", "sampling", "speculative", "example-specific"]).toContain(entry.section);
      expect(entry.help).not.toContain("(env:");
    }
  });

  test("a default in the help is found", () => {
    const lost = entries.filter((entry) => /default: \S/.test(entry.help) && entry.default === undefined);
    expect(lost).toEqual([]);
  });

  test("survives JSON unchanged", () => {
    expect(JSON.parse(JSON.stringify(entries))).toEqual(entries);
  });
});

test("counts of v0.5.0's server", () => {
  const entries = parseHelp(readHelp("llama-server-v0.5.0"));
  expect(entries).toHaveLength(255);
  expect(entries.flatMap(({ names, negations }) => [...names, ...negations])).toHaveLength(412);
});

describe("one entry", () => {
  const entries = parseHelp(readHelp("llama-server-v0.5.0"));

  test.each([
    ["--kv-offload", ["-kvo", "--kv-offload"], ["-nkvo", "--no-kv-offload"]],
    ["--mmproj-auto", ["--mmproj-auto"], ["--no-mmproj", "--no-mmproj-auto"]],
    ["--agent", ["-ag", "--agent"], ["-no-ag", "--no-agent"]],
    ["--webui", ["--ui", "--webui"], ["--no-ui", "--no-webui"]],
    ["--no-host", ["--no-host"], []],
    ["-ctkd", ["--spec-draft-type-k", "-ctkd", "--cache-type-k-draft"], []],
  ])("%s: names and negations are distinguished", (name, names, negations) => {
    expect(find(entries, name)).toMatchObject({ names, negations });
  });

  test.each([
    ["--metrics", []],
    ["--ctx-size", ["N"]],
    ["--control-vector-layer-range", ["START", "END"]],
    ["--override-tensor", ["<tensor name pattern>=<buffer type>,..."]],
    ["--hf-repo", ["<user>/<model>[:quant]"]],
  ])("%s: value hints %j", (name, hints) => {
    expect(find(entries, name).hints).toEqual(hints);
  });

  test.each([
    ["--threads", "-1"],
    ["--seed", "-1"],
    ["--flash-attn", "auto"],
    ["--fit-target", "1024"],
    ["--poll", "50"],
    ["--split-mode", "layer"],
    ["--samplers", "penalties;dry;top_n_sigma;top_k;typ_p;top_p;min_p;xtc;temperature"],
    ["--cors-methods", "GET, POST, DELETE, OPTIONS"],
    ["--spec-draft-device", "follows --device"],
    ["--api-prefix", ""],
    ["--host", "127.0.0.1"],
  ])("%s: default %j", (name, standard) => {
    expect(find(entries, name).default).toBe(standard);
  });

  test("a removed flag has its replacement", () => {
    expect(find(entries, "--draft-max").removed).toBe("--spec-draft-n-max or --spec-ngram-mod-n-max");
    expect(find(entries, "--spec-draft-n-max").removed).toBeUndefined();
  });

  test("a deprecated flag is marked", () => {
    expect(entries.filter(({ deprecated }) => deprecated).map(({ names }) => names.at(-1))).toEqual(["--defrag-thold"]);
  });

  test("env name and section", () => {
    expect(find(entries, "-fa")).toMatchObject({ env: "LLAMA_ARG_FLASH_ATTN", section: "common" });
    expect(find(entries, "--spec-type")).toMatchObject({
      env: "LLAMA_ARG_SPEC_TYPE",
      section: "speculative",
      list: true,
    });
  });

  test("help keeps its lines", () => {
    expect(find(entries, "--pooling").help).toBe("pooling type for embeddings, use model default if unspecified");
    expect(find(entries, "--lazy-mode").help.split("\n")).toContain("- off: always keep them resident");
  });
});

const cacheTypes = "f32 f16 bf16 q8_0 q4_0 q4_1 iq4_nl q5_0 q5_1";

test("allowed values of v0.5.0's server are the listed ones", () => {
  expect(choicesOf("llama-server-v0.5.0")).toEqual({
    "--flash-attn": "on off auto",
    "--rope-scaling": "none linear yarn",
    "--cache-type-k": cacheTypes,
    "--cache-type-v": cacheTypes,
    "--load-mode": "auto none mmap mlock mmap+mlock dio",
    "--lazy-mode": "on auto off",
    "--numa": "distribute isolate numactl",
    "--split-mode": "none layer row tensor",
    "--fit": "on off",
    "--log-colors": "on off auto",
    "--cache-type-k-draft": cacheTypes,
    "--cache-type-v-draft": cacheTypes,
    "--spec-type":
      "none draft-simple draft-eagle3 draft-mtp draft-dflash draft-dspark " +
      "ngram-simple ngram-map-k ngram-map-k4v ngram-mod ngram-cache",
    "--pooling": "none mean cls last rank",
    "--reasoning-format": "none deepseek deepseek-legacy auto",
    "--reasoning": "on off auto",
  });
});

test("allowed values of --spec-type between brackets", () => {
  const entry = find(parseHelp(readHelp("llama-server-b8390")), "--spec-type");
  expect(entry).toMatchObject({
    choices: ["none", "ngram-cache", "ngram-simple", "ngram-map-k", "ngram-map-k4v", "ngram-mod"],
  });
  expect(entry.list).toBeUndefined();
});

test("a layout of early 2025", () => {
  const entries = parseHelp(oldHelp);
  expect(entries).toHaveLength(15);
  expect(find(entries, "--no-mmap")).toMatchObject({ names: ["--no-mmap"], negations: [] });
  expect(find(entries, "--no-kv-offload")).toMatchObject({ names: ["-nkvo", "--no-kv-offload"], negations: [] });
  expect(find(entries, "--flash-attn").hints).toEqual([]);
});

test("lines before, between and after the options are not parsed as options", () => {
  const noisy = `ggml_cuda_init: found 1 device\n${oldHelp}\nexample usage:\n  text with --flags\n`;
  expect(parseHelp(noisy)).toEqual(parseHelp(oldHelp));
});

test("line ends of Windows", () => {
  expect(parseHelp(oldHelp.replaceAll("\n", "\r\n"))).toEqual(parseHelp(oldHelp));
});

test.each([
  ["nothing", ""],
  ["another program's help", "Usage: ls [OPTION]...\n  -a, --all   do not ignore entries starting with .\n"],
  ["dashes", "-----\n-x   --what\n--verbose                               more\n"],
  ["bytes", "\u0000\u0001\u00ff--"],
])("%s is refused", (_, text) => {
  expect(() => parseHelp(text)).toThrow(expect.objectContaining({ code: "help-unreadable", exit: "missingFile" }));
  expect(() => parseHelp(text)).toThrow(LlmctlError);
});

describe("a hostile help text", () => {
  const column = " ".repeat(40);
  const words = [
    "<a ",
    "<",
    "a <",
    "default: ",
    "default: '",
    " = ",
    " - ",
    "- a (default) ",
    "allowed values: a, ",
    "-a, ",
    "[a|",
    "{a,",
    "a,",
    "(",
    "- a: ",
  ];
  // Quadratic patterns would take minutes for these, and the test would time out.
  test.each(words)("of %j takes linear time, however it ends", (word) => {
    const long = word
      .repeat(Math.ceil(helpLimits.entryCharacters / word.length))
      .slice(0, helpLimits.entryCharacters - 200);
    for (const end of ["", "\u2028", "\r", ")", ">"]) {
      const entries = `--a X\n${column}${long}${end}\n--b ${long}${end}\n`.repeat(30);
      expect(parseHelp(`--model FILE\n${entries}`).length).toBeGreaterThan(60);
    }
  });

  test.each([
    ["all of it", "--model X\n".padEnd(helpLimits.characters + 1)],
    ["one head", `--model X\n-a ${"<a ".repeat(100_000)}`],
    ["one option's lines", `--model X\n--a X\n${`${column}words\n`.repeat(4000)}`],
    ["its options", `--model X\n${"--a X\n".repeat(helpLimits.entries)}`],
  ])("that is too long in %s is refused", (_, text) => {
    expect(() => parseHelp(text)).toThrow(/^the --help text does not come from a llama\.cpp program: it /);
  });
});
