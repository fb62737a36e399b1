import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { LlmctlError } from "../../../src/base/errors.ts";
import { describeFix } from "../../../src/base/fix.ts";
import { keysOf, profileJsonSchema, schemaAt } from "../../../src/profiles/schema/json-schema.ts";
import { refuseText } from "../../support/profile-folder.ts";

function show(error: LlmctlError): string {
  return error.problems
    .map(({ message, at, fix }) =>
      [message, `  at:  ${at}`, ...(fix === undefined ? [] : [`  fix: ${describeFix(fix)}`])].join("\n"),
    )
    .join("\n");
}

async function only(yaml: string) {
  const { problems } = await refuseText(yaml);
  expect(problems).toHaveLength(1);
  return problems[0];
}

test("different problems are shown at once, in the order of the file", async () => {
  const error = await refuseText(`ctx_sise: 16384
ctx_size: many
server:
  port: "8001"
draft:
  model: { hf: unsloth, quant: UD-Q4_K_XL }
  n_min: 8
  n_max: 4
temp: 0.7
`);
  expect(error).toMatchObject({ code: "profile-invalid", exit: "config" });
  expect(show(error)).toMatchInlineSnapshot(`
    "profile "coder" has an unknown key "ctx_sise"
      at:  near/coder.yaml:1:1
      fix: did you mean "ctx_size"?
    profile "coder" has no "model"
      at:  near/coder.yaml:1:1
      fix: add "model"
    "ctx_size" must be a whole number of at least 0, not "many"
      at:  near/coder.yaml:2:1
    "server.port" must be a whole number from 1 to 65535 or auto, not "8001"
      at:  near/coder.yaml:4:3
      fix: write it without quotes: 8001
    "draft.model.hf" must be a repository written as owner/name, not "unsloth"
      at:  near/coder.yaml:6:12
    "draft.n_min" is 8, which is more than "draft.n_max" (4)
      at:  near/coder.yaml:7:3
      fix: set n_min to 4 or less
    profile "coder" has an unknown key "temp"
      at:  near/coder.yaml:9:1
      fix: write it under "sampling""
  `);
});

test.each([
  ["ctx_size: many", '"ctx_size" must be a whole number of at least 0, not "many"', undefined],
  ["ctx_size: -0x10", '"ctx_size" must be a whole number of at least 0, not "-0x10"', undefined],
  ["ctx_size: 1.5", '"ctx_size" must be a whole number of at least 0, not 1.5', undefined],
  ["ctx_size: .inf", '"ctx_size" must be a whole number of at least 0, not .inf', undefined],
  ["ctx_size:", '"ctx_size" must be a whole number of at least 0, but it is empty', undefined],
  ["ctx_size: [1]", '"ctx_size" must be a whole number of at least 0, not a list', undefined],
  ["parallel: 0", '"parallel" must be a whole number of at least 1, not 0', undefined],
  ["fit: 'true'", '"fit" must be true or false, not "true"', "write it without quotes: true"],
  ["flash_attn: true", '"flash_attn" must be on, off or auto, not true', undefined],
  [
    "priority: realtim",
    '"priority" must be low, normal, medium, high or realtime, not "realtim"',
    'did you mean "realtime"?',
  ],
  ["gpu_layers: -3", '"gpu_layers" must be a whole number of at least 0, auto or all, not -3', undefined],
  ["alias: 47", '"alias" must be text, not 47', 'put it in quotes: "47"'],
  ["alias: ''", '"alias" must be text, but it is empty', undefined],
  ["devices: []", '"devices" must be a list with at least one item, not an empty list', undefined],
  ["devices: [CUDA0, 1]", '"devices[1]" must be text, not 1', 'put it in quotes: "1"'],
  ["sampling: { top_p: 2 }", '"sampling.top_p" must be a number from 0 to 1, not 2', undefined],
  ["server: { port: 70000 }", '"server.port" must be a whole number from 1 to 65535 or auto, not 70000', undefined],
  ["stop: { timeout: 5 }", '"stop.timeout" must be a duration such as 90s, 15m or 1h, not 5', undefined],
  ["log: { max_size: 5 pages }", '"log.max_size" must be a size such as 64MiB or 8GiB, not "5 pages"', undefined],
  ["env: { 1A: x }", '"env" has the name "1A", which no environment variable can have', expect.any(String)],
  [
    "env: { A: 12345678 }",
    '"env.A" must be text',
    "put the value in quotes, or write env as a map of names and values",
  ],
  ["env: s3cret", '"env" must be a map of keys', "put the value in quotes, or write env as a map of names and values"],
  ["env: { A=s3cret: x }", '"env" has the name "A", which no environment variable can have', expect.any(String)],
  ["env: { A: 1 }", '"env.A" must be text, not 1', 'put it in quotes: "1"'],
  ["health: soon", '"health" must be a map of keys, not "soon"', undefined],
  ["llama: { build: a, binary: /b }", '"llama" has both "build" and "binary"', "keep one of them"],
  ["draft: { n_max: 4 }", '"draft" has no "model", and drafting type "draft-simple" needs one', expect.any(String)],
  [
    "zebra: 1",
    'profile "coder" has an unknown key "zebra"',
    expect.stringMatching(/^the keys here are: description, /),
  ],
  ["top_k: 1", 'profile "coder" has an unknown key "top_k"', 'write it under "sampling"'],
  ["log: { keeep: 1 }", 'profile "coder" has an unknown key "keeep" in "log"', 'did you mean "keep"?'],
])("%s", async (line, message, fix) => {
  const problem = await only(`model: m.gguf\n${line}\n`);
  expect(problem?.message).toBe(message);
  expect(problem?.fix).toEqual(fix);
  expect(problem?.at).toMatch(/^near\/coder\.yaml:2:\d+$/);
});

describe("a model reference", () => {
  test.each([
    [
      "model: [a]",
      '"model" must be the path or https address of a GGUF file, a map with hf and quant or a map with url, not a list',
    ],
    [
      "model:",
      '"model" must be the path or https address of a GGUF file, ' +
        "a map with hf and quant or a map with url, but it is empty",
    ],
    ["alias: x", 'profile "coder" has no "model"'],
    ["model: { quant: Q8_0 }", '"model" has no "hf"'],
    ["model: { hf: o/r }", '"model" has neither "quant" nor "file"'],
    ["model: { hf: o/r, quant: Q8_0, file: f }", '"model" has both "quant" and "file"'],
    ["model: { hf: r, quant: Q8_0 }", '"model.hf" must be a repository written as owner/name, not "r"'],
    ["model: { hf: ../.., quant: Q8_0 }", '"model.hf" must be a repository written as owner/name, not "../.."'],
    ["model: { hf: o/r, quant: 8 }", '"model.quant" must be text, not 8'],
    ["model: { hf: o/r, qunt: Q8_0, quant: Q8_0 }", 'profile "coder" has an unknown key "qunt" in "model"'],
    ["model: { hf: o/r, path: x, quant: Q8_0 }", 'profile "coder" has an unknown key "path" in "model"'],
  ])("%s", async (line, message) => {
    const problem = await only(line);
    expect(problem?.message).toBe(message);
    expect(problem?.at).toMatch(/^near\/coder\.yaml:1:\d+$/);
  });
});

describe("drafting without a model", () => {
  test.each(["ngram-mod", "draft-mtp", "ngram-simple,draft-mtp", "none"])("is valid for type %s", async (type) => {
    const { problems } = await refuseText(`model: m\ndraft: { type: "${type}" }\nzebra: 1`);
    expect(problems).toHaveLength(1);
  });

  test.each(["draft-simple", "draft-eagle3", "ngram-mod,draft-simple"])("is an error for type %s", async (type) => {
    const problem = await only(`model: m\ndraft: { type: "${type}" }`);
    expect(problem?.message).toMatch(/^"draft" has no "model", and drafting type "draft-/);
  });
});

test("control characters of the profile reach no terminal", async () => {
  const problem = await only('model: m\nctx_size: "\\e[31m\\x9b red"');
  expect(problem?.message).toBe('"ctx_size" must be a whole number of at least 0, not "\\u001b[31m\\u009b red"');
});

test("long quotes are shortened", async () => {
  const problem = await only(`model: m\nctx_size: ${"x".repeat(1000)}`);
  expect(problem?.message).toBe(`"ctx_size" must be a whole number of at least 0, not "${"x".repeat(59)}…"`);
});

test("any known key with one letter wrong is an unknown key with its place and a suggestion", async () => {
  const schema = profileJsonSchema();
  const homes = ["", ...keysOf(schema).filter((key) => key !== "env" && keysOf(schemaAt(schema, [key])).length > 0)];
  const keys = homes.flatMap((home) =>
    keysOf(home === "" ? schema : schemaAt(schema, [home])).map((key) => ({ home, key })),
  );
  const edit = fc.record({
    kind: fc.constantFrom("drop", "double", "replace"),
    at: fc.nat(),
    letter: fc.constantFrom(..."abcdefghijklmnopqrstuvwxyz_".split("")),
  });
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...keys), edit, async ({ home, key }, { kind, at, letter }) => {
      const place = at % key.length;
      const inserted = kind === "drop" ? "" : kind === "double" ? key.charAt(place).repeat(2) : letter;
      const typo = key.slice(0, place) + inserted + key.slice(place + 1);
      const siblings = keysOf(home === "" ? schema : schemaAt(schema, [home]));
      fc.pre(!siblings.includes(typo) && typo !== "");
      const { problems } = await refuseText(home === "" ? `# first\n${typo}: 1\n` : `${home}:\n  ${typo}: 1\n`);
      const unknown = problems.filter((problem) =>
        problem.message.startsWith(`profile "coder" has an unknown key "${typo}"`),
      );
      expect(unknown).toHaveLength(1);
      expect(unknown[0]?.at).toBe(`near/coder.yaml:2:${home === "" ? 1 : 3}`);
      expect(unknown[0]?.fix).toMatch(/^did you mean "/);
    }),
    { numRuns: 150 },
  );
});

test.each([
  [
    "http://models.example/m.gguf",
    'is an http address, whose content anybody on the network path can change, "http://models.example/m.gguf"',
    "write https://; http:// is only for servers on this machine (localhost, 127.0.0.1, [::1]), so a mirror " +
      "in your network needs https, too",
  ],
  [
    "https://me:secret@models.example/m.gguf?key=secret",
    'has a login, which would end up in logs, "https://models.example/m.gguf"',
    "use an address that needs no login",
  ],
  ["https://", 'is not a valid address, "https://"', "check the address"],
])("the address %s is refused, as one value and in a map", async (address, message, fix) => {
  const problem = { message: `"model" ${message}`, fix };
  expect(await only(`model: ${address}\n`)).toMatchObject({ ...problem, at: "near/coder.yaml:1:1" });
  expect(await only(`model: { url: "${address}" }\n`)).toMatchObject({ ...problem, at: "near/coder.yaml:1:10" });
});

test.each([
  ["model: { url: models.example/m.gguf }", '"model.url" must be an https address, not "models.example/m.gguf"'],
  [
    "model: { url: https://models.example/m.gguf, sha256: abc }",
    '"model.sha256" must be 64 hex digits or a list with at least one item, not "abc"',
  ],
  [
    "model: { url: https://models.example/m.gguf, quant: Q4_0 }",
    'profile "coder" has an unknown key "quant" in "model"',
  ],
  ["model: { sha256: abc }", '"model" has no "url"'],
  ["model: { hf: o/r, file: mmproj-F16.gguf }", '"model.file" is a projector, "mmproj-F16.gguf", not a model'],
  ["model: m.gguf\nmmproj: { hf: o/r, quant: F16 }", '"mmproj" has no "file"'],
  ["model: m.gguf\nlora: [{ path: https://models.example/a.gguf }]", '"lora[0].path" is an address'],
  [
    "model: m.gguf\nlora: [{ url: http://models.example/a.gguf, scale: 2 }]",
    '"lora[0]" is an http address, whose content anybody on the network path can change',
  ],
])("%s is refused", async (yaml, message) => {
  const { problems } = await refuseText(`${yaml}\n`);
  expect(problems.map((problem) => problem.message)).toContainEqual(expect.stringContaining(message));
});

describe("a worker", () => {
  const fixed = "kind: rpc-worker\nserver: { host: 10.0.0.2, port: 50052 }\n";

  test.each([
    ["model: m.gguf", '"model" is for servers, and this is a worker'],
    ["ctx_size: 4096", '"ctx_size" is for servers, and this is a worker'],
    ['rpc: { workers: ["10.0.0.3:50052"] }', '"rpc.workers" is for servers, and this is a worker'],
    ["args: { verbose: true }", '"args" is for servers, and this is a worker'],
  ])("%s", async (line, message) => {
    expect(await only(`${fixed}${line}\n`)).toMatchObject({
      message,
      at: expect.stringMatching(/^near.coder.yaml:3:/),
      fix: "remove it",
    });
  });

  test.each(["0.0.0.0", "8.8.8.8", "::", "172.32.0.1"])("never listens on %s", async (host) => {
    const problem = await only(`kind: rpc-worker\nserver: { host: "${host}", port: 50052 }\n`);
    expect(problem?.message).toBe(`a worker must not listen on "${host}": it obeys whoever reaches it`);
    expect(problem?.fix).toContain("private network");
  });

  test.each(["127.0.0.1", "10.1.2.3", "172.31.0.1", "192.168.1.9", "100.100.1.1", "gpu-box"])(
    "may listen on %s",
    async (host) => {
      const { problems } = await refuseText(`kind: rpc-worker\nserver: { host: ${host}, port: 50052 }\nzebra: 1\n`);
      expect(problems.map(({ message }) => message)).toEqual([expect.stringContaining("zebra")]);
    },
  );

  test("has a port that servers know", async () => {
    expect(await only("kind: rpc-worker\n")).toMatchObject({
      message: "a worker needs a fixed port, since servers name it by its port",
    });
    expect(await only("kind: rpc-worker\nserver: { port: auto }\n")).toMatchObject({
      fix: 'add "port" under "server", such as 50052',
    });
  });

  test.each(["10.0.0.2", "10.0.0.2:port", ":50052", "http://10.0.0.2:50052"])("is not named %s", async (name) => {
    const problem = await only(`model: m.gguf\nrpc: { workers: ["${name}"] }\n`);
    expect(problem?.message).toBe(`"rpc.workers[0]" must be an address such as 10.0.0.2:50052, not "${name}"`);
  });
});
