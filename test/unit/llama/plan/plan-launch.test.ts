import { utimesSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import { noteSkippedDraft } from "../../../../src/llama/draft/draft-skip-note.ts";
import { describeComputing } from "../../../../src/llama/ask/computing-machine.ts";
import { writeKeptCosts } from "../../../../src/llama/draft/kept-costs.ts";
import { Findings } from "../../../../src/llama/plan/finding.ts";
import { launchSettings } from "../../../../src/llama/plan/launch-settings.ts";
import { planCli, planLaunch } from "../../../../src/llama/plan/plan-launch.ts";
import { prepareCommand } from "../../../../src/llama/plan/prepare-command.ts";
import { FakeSession } from "../../../support/fake-session.ts";
import { makeProfile } from "../../../support/llama-help.ts";

let session: FakeSession;
beforeEach(() => {
  session = new FakeSession({ PATH: "/bin", HOME: "/root" });
});
afterEach(() => session[Symbol.dispose]());

const options = (lacking: "refuse" | "mark" = "refuse") => ({
  paths: session.paths,
  env: session.env,
  session,
  lacking,
});

const processor = await describeComputing(async () => []);
const keptCosts = {
  version: 1,
  machine: processor ?? [],
  measuredAt: "2026-01-01T00:00:00.000Z",
  build: "a build: v0.5.0",
  source: "tune",
  stepMs: [{ contextTokens: 40, ms: 8 }],
  targetMs: [8, 9],
  draftMs: [1, 2],
  reevaluates: true,
} as const;

/** A dry run, as the build lists it. */
const tried = (args: readonly string[]) => [...args, "--version"].join(" ");

describe("the plan of a server", () => {
  test("is its launch with files, flags and settings, and the binary has parsed the command line", async () => {
    const [model, draft, lora] = ["target.gguf", "draft.gguf", "lora.gguf"].map((name) => session.writeModel(name));
    const profile = makeProfile({
      model,
      draft: { model: draft, on_mismatch: "fail", n_max: 5 },
      threads: 3,
      lora: [lora],
      server: { port: 8080 },
      rpc: { workers: ["10.0.0.2:50052"], cache: true },
      env: { CUDA_VISIBLE_DEVICES: "1" },
    });
    const { launch, ...explained } = await planLaunch(profile, options());
    const flags = [
      { key: "model", path: ["model"], args: ["--model", model] },
      { key: "draft.model", path: ["draft", "model"], args: ["--spec-draft-model", draft] },
      { key: "draft.type", path: ["draft", "type"], args: ["--spec-type", "draft-simple"] },
      { key: "threads", path: ["threads"], args: ["--threads", "3"] },
      { key: "server.host", path: ["server", "host"], args: ["--host", "127.0.0.1"] },
      { key: "server.port", path: ["server", "port"], args: ["--port", "8080"] },
      { key: "rpc.workers", path: ["rpc", "workers"], args: ["--rpc", "10.0.0.2:50052"] },
      { key: "draft.n_max", path: ["draft", "n_max"], args: ["--spec-draft-n-max", "5"] },
      {
        key: "draft.p_min",
        path: ["draft", "p_min"],
        args: ["--spec-draft-p-min", "0.75"],
        note: "llmctl's default, the same on every build",
      },
      { key: "lora", path: ["lora"], args: ["--lora", lora] },
    ];
    expect(launch).toEqual({
      ...launchSettings(profile),
      file: session.build.server,
      args: flags.flatMap(({ args }) => args),
      env: { GGML_NO_BACKTRACE: "1", PATH: "/bin", HOME: "/root", CUDA_VISIBLE_DEVICES: "1" },
      files: [
        { path: model, sizeBytes: 9536 },
        { path: draft, sizeBytes: 5440 },
        { path: lora, sizeBytes: 9536 },
      ],
      proof: { wanted: true, onFailure: "fail" },
      build: "a build: v0.5.0",
      hash: expect.stringMatching(/^[0-9a-f]{16}$/) as string,
    });
    expect(explained).toEqual({
      flags,
      notes: [{ key: "rpc.cache", reason: "only a worker caches weights" }],
      findings: [expect.objectContaining({ rank: "warning", code: "rpc-unprotected" })],
      refused: [],
      costKeys: { target: expect.stringMatching(/^[0-9a-f]{32}$/) as string, draft: expect.any(String) as string },
    });
    const asked = flags.filter(({ key }) => key !== "rpc.workers").flatMap(({ args }) => args);
    expect(session.build.asked()).toEqual([tried(asked.map(String))]);
  });

  test("has its keys in the order on which the hash depends", async () => {
    const { launch } = await planLaunch(makeProfile({ model: session.writeModel("target.gguf") }), options());
    expect(Object.keys(launch).slice(-7)).toEqual(["file", "args", "env", "files", "proof", "build", "hash"]);
  });

  test("has another hash with another value of a variable, and the same for the same", async () => {
    const model = session.writeModel("target.gguf");
    const hashWith = async (env: Record<string, string>) =>
      (await planLaunch(makeProfile({ model, env }), options())).launch.hash;
    const first = await hashWith({ CUDA_VISIBLE_DEVICES: "1" });
    expect(await hashWith({ CUDA_VISIBLE_DEVICES: "2" })).not.toBe(first);
    expect(await hashWith({})).not.toBe(first);
    expect(await hashWith({ CUDA_VISIBLE_DEVICES: "1" })).toBe(first);
  });

  describe("with what was measured without a draft", () => {
    const draftOf = (more: object = {}) => ({ model: session.writeModel("draft.gguf"), ...more });
    const planWith = (values: object) => planLaunch(makeProfile({ model, ctx_size: 512, ...values }), options());
    let model: string;
    beforeEach(() => (model = session.writeModel("target.gguf")));

    /** Keeps costs under the keys of this profile. */
    async function keep(values: object): Promise<void> {
      const { costKeys } = await planWith(values);
      if (costKeys === undefined) throw new Error("no key");
      await writeKeptCosts(session.paths.data, { ...keptCosts, key: costKeys.target, draftKey: costKeys.draft });
    }

    test("the target has one key, whatever its draft and its address", async () => {
      const keys = await Promise.all(
        [
          {},
          { draft: draftOf(), server: { port: 9000 } },
          { draft: draftOf({ n_max: 3, p_min: 0.1 }), server: { host: "127.0.0.1", port: "auto", metrics: true } },
          { draft: { type: "ngram-mod" } },
        ].map(planWith),
      );
      expect(new Set(keys.map(({ costKeys }) => costKeys?.target)).size).toBe(1);
    });

    test.each([
      ["another setting", () => ({ threads: 3 })],
      ["another variable", () => ({ env: { CUDA_VISIBLE_DEVICES: "1" } })],
      ["another model", () => ({ model: session.writeModel("other.gguf") })],
      ["a raw flag", () => ({ args: ["--no-warmup"] })],
    ])("%s has another key", async (_, values) => {
      expect((await planWith(values())).costKeys?.target).not.toBe((await planWith({})).costKeys?.target);
    });

    test("another file of the same build has another key", async () => {
      const before = (await planWith({})).costKeys;
      utimesSync(session.build.server, 1, 1);
      expect((await planWith({})).costKeys?.target).not.toBe(before?.target);
    });

    test("a draft has one key, however much it drafts, and n-grams have none", async () => {
      const keys = await Promise.all(
        [draftOf(), draftOf({ n_max: 3, n_min: 1, p_min: 0.1 }), draftOf({ threads: 1 }), { type: "ngram-mod" }].map(
          async (draft) => (await planWith({ draft })).costKeys?.draft,
        ),
      );
      expect(keys[1]).toBe(keys[0]);
      expect(keys[2]).not.toBe(keys[0]);
      expect(keys[3]).toBeNull();
      expect((await planWith({})).costKeys?.draft).toBeNull();
    });

    test("the launch has it, and the same hash as before", async () => {
      const before = await planWith({ draft: draftOf() });
      expect(before.launch.costs).toBeUndefined();
      await keep({ draft: draftOf() });
      const { launch } = await planWith({ draft: draftOf({ n_max: 3 }) });
      const { stepMs, targetMs, draftMs, reevaluates } = keptCosts;
      expect(launch.costs).toEqual({ stepMs, targetMs, draftMs, reevaluates });
      expect((await planWith({ draft: draftOf() })).launch.hash).toBe(before.launch.hash);
    });

    test("the costs of batches are left out for another draft, and those of the draft for n-grams", async () => {
      await keep({ draft: draftOf() });
      expect((await planWith({ draft: draftOf({ threads: 1 }) })).launch.costs).toMatchObject({
        stepMs: keptCosts.stepMs,
        targetMs: null,
        draftMs: null,
      });
      expect((await planWith({ draft: { type: "ngram-mod" } })).launch.costs).toMatchObject({
        targetMs: keptCosts.targetMs,
        draftMs: null,
      });
    });

    test("nothing is compared with what another device has shown", async () => {
      await keep({});
      const device = { name: "CUDA0", description: "a GPU", totalMib: 90_000, freeMib: 80_000 };
      session.devices = [device];
      expect((await planWith({ draft: draftOf() })).launch.costs).toBeUndefined();
      session.devices = new LlmctlError("no-devices", "the driver does not answer", { exit: "failed" });
      expect((await planWith({ draft: draftOf() })).launch.costs).toBeUndefined();
      session.devices = [];
      expect((await planWith({ draft: draftOf() })).launch.costs).toBeDefined();
    });

    test("a server that does not draft is compared with nothing", async () => {
      await keep({});
      expect((await planWith({})).launch.costs).toBeUndefined();
    });
  });

  describe("with on_loss: restart", () => {
    const profileWith = (draft: object) => {
      const models = { model: session.writeModel("target.gguf"), lora: [session.writeModel("lora.gguf")] };
      return makeProfile({ ...models, threads: 3, draft: { model: session.writeModel("draft.gguf"), ...draft } });
    };

    test("has the same server without its draft as a fallback", async () => {
      const { launch } = await planLaunch(profileWith({ on_loss: "restart" }), options());
      const { draft: _, ...values } = profileWith({}).values;
      const without = await planLaunch({ ...profileWith({}), values }, options());
      expect(launch.fallback).toEqual({ args: without.launch.args, files: without.launch.files });
      expect(launch.args).toContain("--spec-draft-model");
    });

    test("is noted where the speed without a draft is not known, and cannot be measured at the start", async () => {
      const profile = profileWith({ on_loss: "restart" });
      const notes = async () =>
        (await planLaunch(profile, options())).findings.filter(({ code }) => code === "loss-unseen");
      expect(await notes()).toEqual([
        expect.objectContaining({ rank: "note", fix: { before: "measure it:", run: ["bench", "p"] } }),
      ]);
      const { costKeys } = await planLaunch(profile, options());
      const measured = { ...keptCosts, key: costKeys?.target ?? "", draftKey: null };
      await writeKeptCosts(session.paths.data, measured);
      expect(await notes()).toEqual([]);
      await writeKeptCosts(session.paths.data, { ...measured, stepMs: [] });
      session.server = "b8390";
      expect(await notes()).toEqual([]);
    });

    test("has no fallback where it does not draft, and none without the key", async () => {
      expect((await planLaunch(profileWith({ on_loss: "warn" }), options())).launch).not.toHaveProperty("fallback");
      const misfit = session.writeModel("misfit-draft.gguf", { "tokenizer.ggml.model": "llama" });
      const { launch } = await planLaunch(profileWith({ model: misfit, on_loss: "restart" }), options());
      expect(launch.proof.wanted).toBe(false);
      expect(launch).not.toHaveProperty("fallback");
    });
  });

  test("makes a session of its own without one", async () => {
    const { paths, env } = session;
    const profile = makeProfile({ llama: { build: "v0.5.0" } });
    await expect(planLaunch(profile, { paths, env })).rejects.toMatchObject({
      code: "build-unknown",
      at: "p.yaml:llama",
    });
  });

  test("ends at a missing model, if nobody asks for more", async () => {
    const { paths, env } = session;
    const missing = makeProfile({ model: "/nowhere/target.gguf" });
    await expect(planLaunch(missing, { paths, env, session })).rejects.toMatchObject({ code: "model-missing" });
  });
});

describe("what the binary refuses", () => {
  beforeEach(() => {
    session.build.put("llama-server", [
      { when: "--threads 3", stderr: 'error while handling argument "--threads": stoi\n', exitCode: 1 },
      { when: "--ctx-size 7", stderr: 'error while handling argument "--ctx-size": too few\n', exitCode: 1 },
    ]);
  });

  const refused = (key: string, message: string) => ({
    code: "flag-refused",
    exit: "config",
    message: `llama.cpp refuses "${key}": ${message}`,
    at: `p.yaml:${key}`,
  });
  const threads = refused("threads", "--threads: not a number, or out of range (stoi)");
  const ctxSize = refused("ctx_size", "--ctx-size: too few");

  test("ends a start at the first flag", async () => {
    const profile = makeProfile({ model: session.writeModel("target.gguf"), threads: 3, ctx_size: 7 });
    await expect(planLaunch(profile, options())).rejects.toMatchObject(threads);
    expect(session.build.asked()).toHaveLength(1);
  });

  test("is all part of a plan that is shown, and no finding", async () => {
    const profile = makeProfile({ model: session.writeModel("target.gguf"), threads: 3, ctx_size: 7 });
    const { refused: all, findings, flags } = await planLaunch(profile, options("mark"));
    expect(all.map(({ flag }) => flag)).toEqual([flags[1], flags[2]]);
    expect(all.map(({ error }) => error)).toMatchObject([threads, ctxSize]);
    expect(findings).toEqual([]);
  });

  test("is not asked by a start whose API keys cannot be used", async () => {
    const profile = makeProfile({
      model: session.writeModel("target.gguf"),
      threads: 3,
      server: { api_key_file: session.write("keys", "") },
    });
    await expect(planLaunch(profile, options())).rejects.toMatchObject({ code: "api-keys-unusable" });
    expect(session.build.asked()).toEqual([]);
    const { refused: all, flags } = await planLaunch(profile, options("mark"));
    expect(all.map(({ flag, error }) => [flag?.key, error.code])).toEqual([
      ["server.api_key_file", "api-keys-unusable"],
      ["threads", "flag-refused"],
    ]);
    expect(flags).toContain(all[0]?.flag);
  });

  test("about a file of API keys is told in our own words alone", async () => {
    const keys = `${session.build.folder}/keys`;
    const stderr = `error while handling argument "--api-key-file": error: failed to open file '${keys}'\n`;
    session.build.put("llama-server", [{ when: "--api-key-file", stderr, exitCode: 1 }]);
    const profile = makeProfile({ model: session.writeModel("target.gguf"), server: { api_key_file: keys } });
    const { refused: all } = await planLaunch(profile, options("mark"));
    expect(all.map(({ flag, error }) => [flag?.key, error.code])).toEqual([
      ["server.api_key_file", "api-key-file-missing"],
    ]);
  });
});

test.each([
  ["v0.5.0", undefined],
  ["b8390", "api-keys-unusable"],
] as const)("a comment in the file of API keys is read as the build %s does", async (build, code) => {
  session.server = build;
  const model = session.writeModel("target.gguf");
  const profile = makeProfile({ model, server: { api_key_file: session.write("keys", "# of ada\nsesame\n") } });
  const { refused } = await planLaunch(profile, options("mark"));
  expect(refused.map(({ error }) => error.code)).toEqual(code === undefined ? [] : [code]);
});

// The last pull has judged the pair by the rule of this build, and noted it.
test.each([
  ["v0.5.0", "strict"],
  ["b8390", "translate"],
  ["old", "refuse"],
  [undefined, "strict"],
] as const)("the draft is decided by what the build %s does with it: %s", async (build, rule) => {
  const ref = { hf: "o/draft-GGUF", quant: "Q8_0" };
  const model = session.writeModel("target.gguf");
  session.server = build ?? "v0.5.0";
  if (build === undefined) session.buildFault = new LlmctlError("build-missing", "no build", { exit: "missingFile" });
  const pair = { targetFiles: [{ path: model, sizeBytes: 9536 }], draft: ref, type: "draft-simple", rule };
  await noteSkippedDraft(session.paths.cache, pair, "a reason");
  const findings = new Findings("collect");
  const profile = makeProfile({ model, draft: { model: ref } });
  const { draft } = await prepareCommand(profile, "llama-server", { session, findings });
  expect(draft.drafting).toEqual({ wanted: false, reason: "a reason" });
});

describe("a plan that is shown", () => {
  test("names a missing model in angle brackets, with an error that says what a start would end with", async () => {
    const profile = makeProfile({
      model: { hf: "o/Target-GGUF", quant: "Q8_0" },
      draft: { model: { url: "https://example.org/a/draft.gguf?token=s3cret" } },
      lora: ["/nowhere/lora.gguf"],
      mmproj: { hf: "o/Target-GGUF", file: "mmproj.gguf" },
    });
    const { launch, findings } = await planLaunch(profile, options("mark"));
    expect(launch.args.filter((word) => word.includes("gguf") || word.startsWith("<"))).toEqual([
      "<o/Target-GGUF:Q8_0>",
      "<draft.gguf>",
      "/nowhere/lora.gguf",
      "<o/Target-GGUF:mmproj.gguf>",
    ]);
    expect(launch.files).toEqual([]);
    expect(launch.proof).toEqual({ wanted: true, onFailure: "serve" });
    expect(findings.map(({ rank, code, exit, at }) => [rank, code, exit, at])).toEqual([
      ["error", "model-missing", "missingFile", "p.yaml:model"],
      ["error", "model-missing", "missingFile", "p.yaml:draft.model"],
      ["error", "model-missing", "missingFile", "p.yaml:mmproj"],
      ["error", "model-missing", "missingFile", "p.yaml:lora.0"],
      ["note", "no-digest", undefined, undefined],
    ]);
    await expect(planLaunch(profile, options())).rejects.toMatchObject({ code: "model-missing", at: "p.yaml:model" });
  });

  test("ends at a damaged model, which no pull would mend", async () => {
    const model = session.write("target.gguf", "no GGUF file");
    await expect(planLaunch(makeProfile({ model }), options("mark"))).rejects.toMatchObject({
      code: "not-gguf",
      at: "p.yaml:model",
    });
  });
});

describe("the plan of a llama-cli", () => {
  test("is its command; keys and warnings of a server's clients are left out", async () => {
    const file = session.build.put("llama-cli");
    const model = session.writeModel("target.gguf");
    const profile = makeProfile({ model, threads: 3, server: { host: "0.0.0.0", api_key_file: "/nowhere" } });
    const { command, flags, notes, findings, refused } = await planCli(profile, options());
    expect(command).toEqual({
      file,
      args: ["--model", model, "--threads", "3"],
      env: { GGML_NO_BACKTRACE: "1", PATH: "/bin", HOME: "/root" },
      files: [{ path: model, sizeBytes: 9536 }],
      proof: { wanted: false, reason: "the profile asks for none" },
      build: "a build: v0.5.0",
    });
    expect(flags.map(({ key }) => key)).toEqual(["model", "threads"]);
    expect(notes.map(({ key }) => key)).toContain("server.api_key_file");
    expect([findings, refused]).toEqual([[], []]);
    expect(session.build.asked("llama-cli")).toEqual([tried(command.args)]);
    expect(session.build.asked()).toEqual([]);
  });
});

describe("the plan of a worker", () => {
  const help = "options: --host HOST\n --port PORT\n --device DEV\n --threads N\n --cache\n";

  test("is the launch of the RPC server of its build", async () => {
    const file = session.build.put("rpc-server", [{ when: "--help", stderr: help }]);
    const profile = makeProfile({
      kind: "rpc-worker",
      model: undefined,
      llama: { binary: session.build.server },
      server: { host: "10.0.0.2", port: 50_052 },
      devices: ["CUDA0", "CUDA1"],
      threads: 4,
      rpc: { cache: true },
      env: { CUDA_VISIBLE_DEVICES: "1" },
    });
    const { launch, ...explained } = await planLaunch(profile, options());
    const flags = [
      { key: "server.host", path: ["server", "host"], args: ["--host", "10.0.0.2"] },
      { key: "server.port", path: ["server", "port"], args: ["--port", "50052"] },
      { key: "devices", path: ["devices"], args: ["--device", "CUDA0,CUDA1"] },
      { key: "threads", path: ["threads"], args: ["--threads", "4"] },
      { key: "rpc.cache", path: ["rpc", "cache"], args: ["--cache"] },
    ];
    expect(launch).toEqual({
      ...launchSettings(profile),
      file,
      args: flags.flatMap(({ args }) => args),
      env: { GGML_NO_BACKTRACE: "1", PATH: "/bin", HOME: "/root", CUDA_VISIBLE_DEVICES: "1" },
      files: [],
      proof: { wanted: false, reason: "the profile asks for none" },
      build: session.build.server,
      hash: expect.stringMatching(/^[0-9a-f]{16}$/) as string,
    });
    expect(explained).toEqual({
      flags,
      notes: [],
      findings: [
        {
          rank: "warning",
          code: "rpc-unprotected",
          message: "llama.cpp's RPC has neither passwords nor encryption: keep it on a private network",
          at: "p.yaml:server.host",
        },
      ],
      refused: [],
    });
    expect(session.build.asked("rpc-server")).toEqual(["--help"]);
  });

  test.each([
    ["threads is left to the program where the profile names none", { threads: 0 }],
    ["threads is left to the program where the profile says so", { threads: -1 }],
    ["without a cache it gets no flag for one", { rpc: { cache: false } }],
  ])("%s", async (_, values) => {
    session.build.put("ggml-rpc-server", [{ when: "--help", stdout: help }]);
    const profile = makeProfile({
      kind: "rpc-worker",
      model: undefined,
      llama: { binary: session.build.server },
      server: { port: 50_052 },
      ...values,
    });
    expect((await planLaunch(profile, options())).launch.args).toEqual(["--host", "127.0.0.1", "--port", "50052"]);
  });

  test("is refused with every key that the program has no flag for", async () => {
    session.build.put("ggml-rpc-server", [{ when: "--help", stdout: "--host HOST --port PORT --device DEV" }]);
    const profile = makeProfile({
      kind: "rpc-worker",
      model: undefined,
      llama: { binary: session.build.server },
      server: { port: 50_052 },
      devices: ["CUDA0"],
      threads: 1,
      rpc: { cache: true },
    });
    const lacks = (key: string) => ({
      message: `this build's RPC server has no flag for ${key}`,
      at: `p.yaml:${key}`,
      fix: "remove the key, or use a newer build",
    });
    await expect(planLaunch(profile, options("mark"))).rejects.toMatchObject({
      code: "profile-unrenderable",
      exit: "config",
      problems: [lacks("threads"), lacks("rpc.cache")],
    });
  });

  test.each([
    ["a variable that is a flag", { env: { LLAMA_ARG_PORT: "1" } }, "env-refused", "p.yaml:env.LLAMA_ARG_PORT"],
    ["no RPC server", {}, "worker-missing", "p.yaml:llama"],
  ])("is refused with %s", async (_, values, code, at) => {
    const profile = makeProfile({
      kind: "rpc-worker",
      model: undefined,
      llama: { binary: session.build.server },
      server: { port: 50_052 },
      ...values,
    });
    await expect(planLaunch(profile, options())).rejects.toMatchObject({ code, at });
  });
});
