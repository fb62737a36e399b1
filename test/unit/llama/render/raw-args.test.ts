import { describe, expect, test } from "vitest";
import { checkRawArgs } from "../../../../src/llama/render/raw-args.ts";
import { makeProfile, readCatalogue } from "../../../support/llama-help.ts";

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
  test.each([
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
      "removed",
      ["--spec-ngram-size-m", "3"],
      "has been removed from llama.cpp v0.5.0",
      "use the respective --spec-ngram-*-size-m",
    ],
    [
      "removed, but a key says it",
      ["--draft-max", "3"],
      '"--draft-max" has the same meaning as the key draft.n_max',
      "set draft.n_max instead",
    ],
    [
      "of another build, but a key says it",
      ["--ctx-size-draft", "3"],
      "has the same meaning as the key draft.ctx_size",
      "set draft.ctx_size instead",
    ],
    ["covered by a key", ["-c", "4096"], '"-c" has the same meaning as the key ctx_size', "set ctx_size instead"],
    [
      "covered by a key, negated",
      ["--no-jinja"],
      '"--no-jinja" has the same meaning as the key jinja',
      "set jinja instead",
    ],
    ["no value", ["--cache-reuse"], '"--cache-reuse" lacks its value (N)', "write the value as the next item"],
    [
      "a flag where the value should be",
      ["--cache-reuse", "--swa-full"],
      '"--cache-reuse" lacks its value (N)',
      "write the value",
    ],
    ["one of two values", ["--control-vector-layer-range", "1"], "lacks its value (END)", "write the value"],
    [
      "value outside the list",
      ["--split-mode", "rows"],
      '"--split-mode" does not take "rows"',
      "takes none, layer, row, tensor",
    ],
    [
      "value behind an equals sign",
      ["--cache-reuse=256"],
      "is a flag and its value in one item",
      'two items: "--cache-reuse", "256"',
    ],
    [
      "value behind a space",
      ["--cache-reuse 256"],
      "is a flag and its value in one item",
      'two items: "--cache-reuse", "256"',
    ],
    ["a stray value", ["256"], '"256" is not a flag', "a separate item"],
    ["owned: port", ["--port", "1"], "has the same meaning as the key server.port", "set server.port instead"],
    ["owned: host", ["--host", "::"], "has the same meaning as the key server.host", "set server.host instead"],
    ["owned: model", ["-m", "x"], "has the same meaning as the key model", "set model instead"],
    ["owned: model elsewhere", ["-hf", "a/b"], "names a model", "hf: OWNER/REPO"],
    ["owned: api key", ["--api-key", "s3cret"], "shows the key to every user", "server.api_key_file"],
    [
      "owned: key file",
      ["--api-key-file", "/k"],
      "has the same meaning as the key server.api_key_file",
      "set server.api_key_file instead",
    ],
    [
      "owned: key file, joined",
      ["--api_key_file=/k"],
      "has the same meaning as the key server.api_key_file",
      "set server.api_key_file instead",
    ],
    ["owned: log", ["--log-disable"], "hides the log", "remove it"],
    ["owned: prefix", ["--api-prefix", "/x"], "changes the address", "proxy"],
    ["prints and ends", ["--list-devices"], "print something and exit", "remove it"],
    ["presets", ["--gpt-oss-20b-default"], "selects its own model", "key model"],
  ])("%s: %j", (_, args, message, fix) => {
    const { flags, problems } = check(args);
    expect(problems).toHaveLength(1);
    expect(problems[0]?.message).toContain(message);
    expect(problems[0]?.fix).toContain(fix);
    expect(problems[0]?.at).toBe("p.yaml:args.0");
    expect(flags.filter(({ key }) => key === "args[0]")).toEqual([]);
  });

  test("the same flag is judged by the build", () => {
    expect(check(["--license"], {}, b7698).problems[0]?.message).toContain("print something and exit");
    expect(check(["--license"]).problems[0]?.message).toContain("unknown");
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

  test.each([
    [{ "cache-reus": 256 }, '"--cache-reus" is unknown to llama.cpp v0.5.0', 'did you mean "--cache-reuse"?'],
    [{ "spec-ngram-size-m": 3 }, "has been removed", "use the respective --spec-ngram-*-size-m"],
    [{ "cache-reuse": true }, '"--cache-reuse" lacks its value (N)', "write it after the name"],
    [{ "no-repack": 1 }, '"--no-repack" takes no value, not 1 values', "write true"],
    [{ "cache-reuse": [1, 2] }, '"--cache-reuse" takes N, not 2 values', "write N"],
    [{ "split-mode": "rows" }, '"--split-mode" does not take "rows"', "takes none, layer, row, tensor"],
    [{ "ctx-size": 4096 }, '"--ctx-size" has the same meaning as the key ctx_size', "set ctx_size instead"],
    [{ "api-key": "s3cret" }, "shows the key to every user", "server.api_key_file"],
  ])("%j is wrong at its own line", (args, message, fix) => {
    const { flags, problems } = check(args);
    expect(flags).toEqual([]);
    expect(problems).toHaveLength(1);
    expect(problems[0]?.message).toContain(message);
    expect(problems[0]?.fix).toContain(fix);
    expect(problems[0]?.at).toBe(`p.yaml:args.${Object.keys(args)[0]}`);
  });
});

describe("a key that llmctl only passes on", () => {
  test("leaves its flag to raw args until the profile sets it", () => {
    expect(check(["--cache-reuse", "256"]).problems).toEqual([]);
    expect(check(["--cache-reuse", "256"], { cache_reuse: 64 }).problems[0]?.fix).toBe("set cache_reuse instead");
    expect(check({ "no-kv-offload": true }, { kv_offload: true }).problems[0]?.fix).toBe("set kv_offload instead");
  });
});
