import { describe, expect, test } from "vitest";
import { FlagCatalogue } from "../../../../src/llama/ask/flag-catalogue.ts";
import { parseHelp } from "../../../../src/llama/ask/help-text.ts";
import { ownedFlags } from "../../../../src/llama/render/owned-flags.ts";
import { checkRawArgs } from "../../../../src/llama/render/raw-args.ts";
import { makeProfile, oldHelp, readCatalogue, readCliCatalogue } from "../../../support/llama-help.ts";

const v050 = readCatalogue("v0.5.0");
const b7698 = readCatalogue("b7698");

function check(
  args: readonly string[] | Readonly<Record<string, unknown>>,
  more: Readonly<Record<string, unknown>> = {},
  catalogue = v050,
) {
  const profile = makeProfile({ args, ...more });
  return checkRawArgs(profile, {
    program: "llama-server",
    values: profile.values,
    models: { target: "/m/t.gguf", draft: "/m/d.gguf" },
    catalogue,
  });
}

test("valid flags pass unchanged, with their number of values", () => {
  const args = [
    "--cache-reuse",
    "256",
    "--no-kv-offload",
    "--control-vector-layer-range",
    "1",
    "9",
    "-ub",
    "256",
    "--swa_full",
  ];
  const { flags, problems } = check(args);
  expect(problems).toEqual([]);
  expect(flags.map((flag) => [flag.key, ...flag.args])).toEqual([
    ["args[0]", "--cache-reuse", "256"],
    ["args[2]", "--no-kv-offload"],
    ["args[3]", "--control-vector-layer-range", "1", "9"],
    ["args[6]", "-ub", "256"],
    ["args[8]", "--swa-full"],
  ]);
});

test.each([
  ["--seed-like negative values", ["--predict", "-1"]],
  ["every word for on", ["--reasoning", "true"]],
  ["several of a list", ["--tools", "read_file,grep_search"]],
  ["a default that the help does not list", ["--reasoning-format", "auto"]],
  ["load modes that no key says", ["--load-mode", "dio"]],
  ["raw lengths of n-grams beside a draft model", ["--spec-ngram-mod-n-max", "32"]],
])("%s: %j", (_, args) => {
  expect(check(args, { draft: { model: "/m/d.gguf", type: "ngram-mod,draft-simple", n_max: 4 } }).problems).toEqual([]);
});

describe("problems", () => {
  test.each<[string, string[], string, string]>([
    [
      "unknown, with the nearest",
      ["--cache-reus", "256"],
      '"--cache-reus" is unknown to llama.cpp v0.5.0',
      'did you mean "--cache-reuse"?',
    ],
    [
      "unknown, like nothing",
      ["--zzzzzzzzzzzzzzzz"],
      '"--zzzzzzzzzzzzzzzz" is unknown to llama.cpp v0.5.0',
      "remove it",
    ],
    [
      "removed, with what took its place",
      ["--spec-ngram-size-m", "3"],
      '"--spec-ngram-size-m" has been removed from llama.cpp v0.5.0',
      "use the respective --spec-ngram-*-size-m",
    ],
    [
      "removed, but a key says it",
      ["--draft-max", "3"],
      '"--draft-max" has the same meaning as the key draft.n_max',
      "set draft.n_max instead",
    ],
    ["covered by a key", ["-c", "4096"], '"-c" has the same meaning as the key ctx_size', "set ctx_size instead"],
    ["no value", ["--cache-reuse"], '"--cache-reuse" lacks its value (N)', "write the value as the next item"],
    [
      "a flag where the value should be",
      ["--cache-reuse", "--swa-full"],
      '"--cache-reuse" lacks its value (N)',
      "write the value as the next item",
    ],
    [
      "one of two values",
      ["--control-vector-layer-range", "1"],
      '"--control-vector-layer-range" lacks its value (END)',
      "write the value as the next item",
    ],
    [
      "neither of two values",
      ["--control-vector-layer-range"],
      '"--control-vector-layer-range" lacks its value (START END)',
      "write the value as the next item",
    ],
    [
      "value outside the list",
      ["--split-mode", "rows"],
      '"--split-mode" does not take "rows"',
      "llama.cpp v0.5.0 takes none, layer, row, tensor",
    ],
    [
      "value behind an equals sign",
      ["--cache-reuse=256"],
      '"--cache-reuse=256" is a flag and its value in one item',
      'write them as two items: "--cache-reuse", "256"',
    ],
    [
      "value behind a space",
      ["--cache-reuse 256"],
      '"--cache-reuse 256" is a flag and its value in one item',
      'write them as two items: "--cache-reuse", "256"',
    ],
    [
      "unknown with a value behind an equals sign",
      ["--nonsense=256"],
      '"--nonsense" is unknown to llama.cpp v0.5.0',
      "remove it",
    ],
    ["a stray value", ["256"], '"256" is not a flag', "write each flag and each value as a separate item"],
    [
      "a stray value with an equals sign",
      ["a=b"],
      '"a" is not a flag',
      "write each flag and each value as a separate item",
    ],
    [
      "key file, joined",
      ["--api_key_file=/k"],
      '"--api_key_file" has the same meaning as the key server.api_key_file',
      "set server.api_key_file instead",
    ],
    [
      "a preset that downloads a model",
      ["--gpt-oss-20b-default"],
      '"--gpt-oss-20b-default" selects its own model',
      "name the model in the key model",
    ],
  ])("%s: %j", (_, args, message, fix) => {
    const { flags, problems } = check(args);
    expect(problems).toEqual([{ message, fix, at: "p.yaml:args.0" }]);
    expect(flags.filter(({ key }) => key === "args[0]")).toEqual([]);
  });

  const elsewhere = [
    "names a model, and llmctl finds and checks models itself",
    "write model: { hf: OWNER/REPO, quant: … } (the same under draft)",
  ] as const;
  const address = [
    "changes the address where llmctl asks for the server's health",
    "remove it, and put a proxy in front of the server",
  ] as const;
  const log = ["hides the log that llmctl reads", "remove it; see the key log"] as const;
  const ends = ["makes the program print something and exit", "remove it"] as const;
  test.each<[string[], string, string]>([
    [
      [
        "--model-url",
        "-mu",
        "--hf-repo",
        "-hf",
        "--hf-file",
        "-hff",
        "--docker-repo",
        "--spec-draft-hf",
        "--hf-repo-draft",
      ],
      ...elsewhere,
    ],
    [
      ["--api-key"],
      "shows the key to every user of this machine",
      "put the key in a file and name the file in server.api_key_file",
    ],
    [
      ["--hf-token", "-hft"],
      "shows the token to every user of this machine",
      "remove it: llmctl reads HF_TOKEN from the environment when it fetches models",
    ],
    [["--reuse-port"], "lets a second server listen on the same port without an error", "remove it"],
    [["--log-disable", "--log-jsonl"], ...log],
    [["--ssl-key-file", "--ssl-cert-file", "--api-prefix"], ...address],
    [["--help", "-h", "--version", "--license", "--cache-list", "--completion-bash", "--list-devices"], ...ends],
  ])("%j: only llmctl may pass them", (names, why, fix) => {
    for (const name of names) {
      // The newest build lacks one of them.
      const catalogue = v050.has(name) ? v050 : b7698;
      const values = catalogue.find(name)?.entry.hints.map(() => "1") ?? ["is missing"];
      const { flags, problems } = check([name, ...values], {}, catalogue);
      expect([flags, problems]).toEqual([[], [{ message: `"${name}" ${why}`, fix, at: "p.yaml:args.0" }]]);
    }
  });

  test.each(ownedFlags.flatMap(({ flags }) => flags))(
    "%s is refused on a build that has no other name for it",
    (name) => {
      const catalogue = new FlagCatalogue("odd", parseHelp(`${oldHelp}${name.padEnd(40)}odd\n`));
      expect(check([name], {}, catalogue)).toMatchObject({ flags: [], problems: [{ at: "p.yaml:args.0" }] });
    },
  );

  test("the opposite of such a flag is harmless", () => {
    expect(check(["--no-log-jsonl"])).toMatchObject({ flags: [{ args: ["--no-log-jsonl"] }], problems: [] });
  });

  test("a value behind a flag that takes none is a stray one, and so is a second value", () => {
    const stray = (index: number, word: string) => ({
      message: `"${word}" is not a flag`,
      fix: "write each flag and each value as a separate item",
      at: `p.yaml:args.${index}`,
    });
    expect(check(["--no-repack", "256", "--poll", "1"])).toMatchObject({
      flags: [{ args: ["--no-repack"] }, { args: ["--poll", "1"] }],
      problems: [stray(1, "256")],
    });
    expect(check(["--poll", "1", "2"])).toMatchObject({
      flags: [{ args: ["--poll", "1"] }],
      problems: [stray(2, "2")],
    });
  });

  test("the words behind an unknown flag are its values, up to the next flag", () => {
    const at = (args: readonly string[]) => check(args).problems.map((one) => one.at);
    expect(at(["--nope", "1", "x-y", "-1", "--cache-reuse", "256"])).toEqual(["p.yaml:args.0"]);
    expect(at(["--nope", "--split-mode", "rows"])).toEqual(["p.yaml:args.0", "p.yaml:args.1"]);
    expect(at(["--nope", "-nah"])).toEqual(["p.yaml:args.0", "p.yaml:args.1"]);
  });

  test("a flag that was removed without a replacement is to be removed", () => {
    const help = `${oldHelp}${"--gone N".padEnd(40)}the argument has been removed\n`;
    expect(check(["--gone", "1"], {}, new FlagCatalogue("new", parseHelp(help))).problems).toEqual([
      { message: '"--gone" has been removed from llama.cpp new', fix: "remove it", at: "p.yaml:args.0" },
    ]);
  });

  test("the same flag is judged by the build", () => {
    expect(check(["--license"]).problems).toEqual([
      { message: '"--license" is unknown to llama.cpp v0.5.0', fix: "remove it", at: "p.yaml:args.0" },
    ]);
    expect(check(["--direct-io"], {}, b7698).problems).toEqual([]);
  });

  test("a flag shared with a key that is set", () => {
    expect(check(["--load-mode", "dio"], { mlock: true }).problems[0]?.message).toBe(
      '"--load-mode" has the same meaning as the key mlock',
    );
    expect(check(["--load-mode", "dio"], { mmap: false }).problems[0]?.message).toBe(
      '"--load-mode" has the same meaning as the key mmap',
    );
  });

  test("all of them at once, each at its place, and valid flags between them are kept", () => {
    const { flags, problems } = check(["--nope", "1", "2", "--cache-reuse", "256", "--split-mode", "x", "--port", "1"]);
    expect(problems.map(({ at }) => at)).toEqual(["p.yaml:args.0", "p.yaml:args.5", "p.yaml:args.7"]);
    expect(flags.map(({ key }) => key)).toEqual(["args[3]"]);
  });

  test("the API key itself is not repeated", () => {
    expect(JSON.stringify(check(["--api-key", "s3cret"]).problems)).not.toContain("s3cret");
    expect(JSON.stringify(check(["--api-key=s3cret"]).problems)).not.toContain("s3cret");
  });

  test.each([
    [["--hf-token", "s3cret"]],
    [["-hft", "s3cret"]],
    [["--hf-token=s3cret"]],
    [["--api-token=s3cret"]],
    [["--api-token s3cret"]],
    [["token=s3cret"]],
    [{ "hf-token": "s3cret" }],
    [{ hft: "s3cret" }],
  ])("no secret is on a command line or in a message: %j", (args) => {
    const { flags, problems } = check(args);
    expect(flags).toEqual([]);
    expect(problems).toHaveLength(1);
    expect(JSON.stringify(problems)).not.toContain("s3cret");
  });
});

describe("a flag for a secret, on any build", () => {
  const secrets = (name: string, more = "") =>
    new FlagCatalogue("new", parseHelp(`${oldHelp}${`${name} VALUE${more}`.padEnd(37)}   no words that tell\n`));

  test.each([
    "--api-token",
    "--client-secret",
    "--db-password",
    "--db-passwd",
    "--my-key",
    "--hf-apikey",
    "--hf2key",
    "--hft",
    "-hft",
    "--HF-TOKEN",
  ])("%s is refused", (name) => {
    expect(check([name, "s3cret"], {}, secrets(name))).toEqual({
      flags: [],
      notes: [],
      problems: [
        {
          message: `"${name}" shows a secret to every user of this machine`,
          fix: "remove it; the key env can hold secrets",
          at: "p.yaml:args.0",
        },
      ],
    });
  });

  test.each(["--key-file", "--token-count", "--max-tokens", "--passwords-file", "-hftx", "--x-hft"])(
    "%s is not one",
    (name) => {
      expect(check([name, "1"], {}, secrets(name)).problems).toEqual([]);
    },
  );

  test("one of its names tells", () => {
    const help = `${oldHelp}${"--mine, --my-token T".padEnd(40)}x\n`;
    const { problems } = check(["--mine", "s3cret"], {}, new FlagCatalogue("new", parseHelp(help)));
    expect(problems.map((one) => one.message)).toEqual(['"--mine" shows a secret to every user of this machine']);
  });

  test("its opposite shows nothing", () => {
    const help = `${oldHelp}--my-token, --no-my-token               asks for one\n`;
    expect(check(["--no-my-token"], {}, new FlagCatalogue("new", parseHelp(help))).problems).toEqual([]);
  });
});

describe("as a map", () => {
  test("names may lack dashes; true is a flag without a value, false no flag, a list several values", () => {
    const args = {
      "--cache-reuse": 256,
      "no-repack": true,
      ub: 64,
      "control-vector-layer-range": [1, 9],
      "swa-full": false,
      poll: "0",
    };
    const { flags, problems } = check(args);
    expect(problems).toEqual([]);
    expect(flags.map((flag) => [flag.key, ...flag.args])).toEqual([
      ["args.--cache-reuse", "--cache-reuse", "256"],
      ["args.no-repack", "--no-repack"],
      ["args.ub", "-ub", "64"],
      ["args.control-vector-layer-range", "--control-vector-layer-range", "1", "9"],
      ["args.poll", "--poll", "0"],
    ]);
  });

  test.each<[Readonly<Record<string, unknown>>, string, string]>([
    [{ "cache-reus": 256 }, '"--cache-reus" is unknown to llama.cpp v0.5.0', 'did you mean "--cache-reuse"?'],
    [
      { "spec-ngram-size-m": 3 },
      '"--spec-ngram-size-m" has been removed from llama.cpp v0.5.0',
      "use the respective --spec-ngram-*-size-m",
    ],
    [{ "cache-reuse": true }, '"--cache-reuse" lacks its value (N)', 'write it after the name: "cache-reuse: …"'],
    [{ "no-repack": 1 }, '"--no-repack" takes no value, not 1 values', "write true"],
    [{ "cache-reuse": [1, 2] }, '"--cache-reuse" takes N, not 2 values', "write N"],
    [
      { "control-vector-layer-range": [1, 2, 3] },
      '"--control-vector-layer-range" takes START END, not 3 values',
      "write START END",
    ],
    [
      { "split-mode": "rows" },
      '"--split-mode" does not take "rows"',
      "llama.cpp v0.5.0 takes none, layer, row, tensor",
    ],
    [{ "ctx-size": 4096 }, '"--ctx-size" has the same meaning as the key ctx_size', "set ctx_size instead"],
    [
      { "api-key": "s3cret" },
      '"--api-key" shows the key to every user of this machine',
      "put the key in a file and name the file in server.api_key_file",
    ],
  ])("%j is wrong at its own line", (args, message, fix) => {
    const at = `p.yaml:args.${Object.keys(args)[0]}`;
    expect(check(args)).toEqual({ flags: [], notes: [], problems: [{ message, fix, at }] });
  });

  test("a name is a long flag where the build has both", () => {
    const help = `${oldHelp}${"-x N".padEnd(40)}short\n${"--x N".padEnd(40)}long\n`;
    const { flags } = check({ x: 1 }, {}, new FlagCatalogue("both", parseHelp(help)));
    expect(flags.map(({ args }) => args)).toEqual([["--x", "1"]]);
  });
});

describe("flags that keys can use, too", () => {
  const types = ["ngram-simple", "ngram-map-k", "ngram-map-k4v", "ngram-mod"];
  const flags = types.flatMap((type) =>
    [type === "ngram-mod" ? "n-match" : "size-n", type === "ngram-mod" ? "n-max" : "size-m"].map(
      (end) => `--spec-${type}-${end}`,
    ),
  );

  test.each([...flags, "--spec-ngram-mod-n-min", "--load-mode"])("%s is left to args until a key uses it", (name) => {
    const value = name === "--load-mode" ? "dio" : "7";
    for (const draft of [
      {},
      { draft: { type: "ngram-cache" } },
      { draft: { type: "draft-simple", model: "/m/d.gguf", n_max: 4 } },
    ])
      expect(check([name, value], draft)).toMatchObject({ flags: [{ args: [name, value] }], problems: [] });
  });
});

describe("for llama-cli", () => {
  const cli = (args: readonly string[], more: Readonly<Record<string, unknown>> = {}) => {
    const profile = makeProfile({ args, ...more });
    return checkRawArgs(profile, {
      program: "llama-cli",
      values: profile.values,
      models: { target: "/m/t.gguf", draft: "/m/d.gguf" },
      catalogue: readCliCatalogue("v0.5.0"),
    });
  };
  const note = (word: string, key = "args[0]") => ({ key, reason: `llama-cli has no ${word}` });

  test.each([
    ["a flag of the server", ["--cache-reuse", "256"], ["--cache-reuse"]],
    ["a flag of the server whose key is for clients alone", ["--metrics"], ["--metrics"]],
    ["a flag that no program has", ["--nonsense", "1"], ["--nonsense"]],
  ])("%s is left out with a note: %j", (_, args, words) => {
    expect(cli(args)).toEqual({ flags: [], notes: words.map((word) => note(word)), problems: [] });
  });

  test.each([
    [
      "a flag that a key has for llama-cli, too",
      ["--ctx-size-draft", "1"],
      '"--ctx-size-draft" has the same meaning as the key draft.ctx_size',
    ],
    ["a removed flag", ["--draft-n", "1"], '"--draft-n" has been removed from llama.cpp v0.5.0'],
    ["a word that is no flag", ["256"], '"256" is not a flag'],
    ["a flag that it knows, without its value", ["--predict"], '"--predict" lacks its value (N)'],
  ])("%s is refused: %j", (_, args, message) => {
    const { flags, notes, problems } = cli(args);
    expect([flags, notes, problems.map((one) => one.message)]).toEqual([[], [], [message]]);
  });

  test("the server refuses what no program has", () => {
    expect(check(["--nonsense"])).toMatchObject({ notes: [], problems: [{ at: "p.yaml:args.0" }] });
  });
});
