import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import type { Device } from "../../../../src/llama/ask/devices.ts";
import { checkProfiles, type ProfileCheck } from "../../../../src/llama/plan/check-profile.ts";
import type { Finding } from "../../../../src/llama/plan/finding.ts";
import { hostMemory } from "../../../../src/llama/plan/memory-use.ts";
import type { Profile } from "../../../../src/profiles/schema/schema.ts";
import { FakeSession } from "../../../support/fake-session.ts";
import { FakeSupervisor } from "../../../support/fake-supervisor.ts";
import { makeProfile } from "../../../support/llama-help.ts";

let session: FakeSession;
let model: string;
beforeEach(() => {
  session = new FakeSession({ PATH: "/bin" });
  model = session.writeModel("target.gguf");
});
afterEach(() => session[Symbol.dispose]());

async function check(profile: Profile): Promise<ProfileCheck> {
  const [result] = await checkProfiles([profile], session);
  if (result === undefined) throw new Error("no result");
  return result;
}

async function findingsOf(values: Readonly<Record<string, unknown>>): Promise<readonly Finding[]> {
  return (await check(makeProfile({ model, ...values }))).findings;
}

const gpu: Device = { name: "CUDA0", description: "a GPU", totalMib: 24_000, freeMib: 20_000 };
const other: Device = { name: "CUDA1", description: "another", totalMib: 24_000, freeMib: 23_000 };

describe("a profile without a fault", () => {
  test("has its build, files, flags and drafting, and no finding", async () => {
    const [draft, lora] = ["draft.gguf", "lora.gguf"].map((name) => session.writeModel(name));
    const profile = makeProfile({ model, draft: { model: draft }, lora: [lora] });
    const { flags, ...rest } = await check(profile);
    expect(rest).toEqual({
      profile,
      build: "a build: v0.5.0",
      files: [
        { path: model, sizeBytes: 9536 },
        { path: lora, sizeBytes: 9536 },
        { path: draft, sizeBytes: 5440 },
      ],
      notes: [],
      drafting: { wanted: true, onFailure: "serve" },
      memory: [],
      findings: [],
    });
    expect(flags.map(({ key }) => key)).toEqual([
      "model",
      "draft.model",
      "draft.type",
      "server.host",
      "server.port",
      "draft.n_max",
      "draft.p_min",
      "lora",
    ]);
  });

  test("without a build has what its files say", async () => {
    session.buildFault = new LlmctlError("build-missing", "no build", { exit: "missingFile" });
    const profile = makeProfile({ model, devices: ["CUDA7"], rpc: { workers: ["10.0.0.2:1"] } });
    expect(await check(profile)).toEqual({
      profile,
      build: undefined,
      files: [{ path: model, sizeBytes: 9536 }],
      flags: [],
      notes: [],
      drafting: { wanted: false, reason: "the profile asks for none" },
      memory: [],
      findings: [
        { rank: "error", code: "build-missing", exit: "missingFile", message: "no build" },
        expect.objectContaining({ code: "rpc-unprotected" }),
      ],
    });
    expect(session.build.asked()).toEqual([]);
  });

  test("whose draft cannot be judged says so once, as an error", async () => {
    const draft = { model: session.write("draft.gguf", "no model"), on_mismatch: "fail" };
    const { drafting, findings, flags } = await check(makeProfile({ model, draft }));
    expect(findings.map(({ code }) => code)).toEqual(["not-gguf"]);
    expect(drafting).toEqual({ wanted: true, onFailure: "fail" });
    expect(flags.map(({ key }) => key)).toContain("draft.model");
  });

  test("whose draft must fit and does not is planned without it", async () => {
    const tokens = Array.from({ length: 32 }, (_, id) => `other${id}`);
    const file = session.writeModel("draft.gguf", { "tokenizer.ggml.tokens": tokens });
    const { drafting, findings, flags, files } = await check(
      makeProfile({ model, draft: { model: file, on_mismatch: "fail", n_max: 3 } }),
    );
    expect(findings.map(({ code }) => code)).toEqual(["draft-mismatch"]);
    expect(drafting).toEqual({ wanted: false, reason: "the draft does not fit" });
    expect(flags.map(({ key }) => key)).not.toContain("draft.model");
    expect(files).toEqual([{ path: model, sizeBytes: 9536 }]);
  });
});

test("many profiles are checked with one run of the binary, and each has its own result", async () => {
  session.build.put("llama-server", [
    { when: "--threads 3", stderr: 'error while handling argument "--threads": stoi\n', exitCode: 1 },
  ]);
  const name = (profile: Profile, to: string): Profile => ({ ...profile, name: to });
  const profiles = [
    name(makeProfile({ model }), "a"),
    name(makeProfile({ model, threads: 3 }), "b"),
    name(makeProfile({ kind: "rpc-worker", model: undefined, server: { port: 50_052 } }), "c"),
    name(makeProfile({ model, threads: 4 }), "d"),
  ];
  const checks = await checkProfiles(profiles, session);
  expect(checks.map(({ profile, findings }) => [profile.name, findings.map(({ code }) => code)])).toEqual([
    ["a", []],
    ["b", ["flag-refused"]],
    ["c", ["build-missing", "rpc-unprotected"]],
    ["d", []],
  ]);
});

test("a key without a flag is a note, except where drafting is off anyway", async () => {
  const tokens = Array.from({ length: 32 }, (_, id) => `other${id}`);
  const draft = { model: session.writeModel("draft.gguf", { "tokenizer.ggml.tokens": tokens }), n_max: 3 };
  expect((await findingsOf({ draft, rpc: { cache: true } })).map(({ rank, code, at }) => [rank, code, at])).toEqual([
    ["warning", "drafting-off", "p.yaml:draft.model"],
    ["note", "key-left-out", "p.yaml:rpc.cache"],
  ]);
  expect(await findingsOf({ rpc: { cache: true } })).toEqual([
    {
      rank: "note",
      code: "key-left-out",
      message: "rpc.cache: only a worker caches weights",
      at: "p.yaml:rpc.cache",
    },
  ]);
});

describe("a device", () => {
  const missing = (name: string, at: string) => ({
    rank: "error",
    code: "device-missing",
    exit: "unavailable",
    message: `this build has no device "${name}" here: it has CUDA0 (a GPU)`,
    at,
    fix: "name one of these devices",
  });

  test("that is missing is told once, and not in the words of the binary as well", async () => {
    session.devices = [gpu];
    session.build.put("llama-server", [
      { when: "CUDA0,CUDA7", stderr: 'error while handling argument "--device": invalid device: CUDA7\n', exitCode: 1 },
    ]);
    expect(await findingsOf({ devices: ["CUDA0", "CUDA7"] })).toEqual([missing("CUDA7", "p.yaml:devices.1")]);
  });

  test("that is there is no reason to leave out what else the binary refuses", async () => {
    session.devices = [gpu];
    session.build.put("llama-server", [
      { when: "--threads 3", stderr: 'error while handling argument "--threads": stoi\n', exitCode: 1 },
    ]);
    const findings = await findingsOf({ devices: ["CUDA0", "CUDA7"], threads: 3 });
    expect(findings.map(({ code }) => code)).toEqual(["device-missing", "flag-refused"]);
  });

  test("of a draft is told with its key", async () => {
    session.devices = [gpu];
    const draft = { model: session.writeModel("draft.gguf"), devices: ["CUDA7"] };
    expect(await findingsOf({ draft })).toEqual([missing("CUDA7", "p.yaml:draft.devices.0")]);
  });

  test("is not looked for by a profile that names none", async () => {
    session.devices = new LlmctlError("binary-failed", "no list", { exit: "missingFile" });
    expect(await findingsOf({})).toEqual([]);
    expect(await findingsOf({ devices: ["CUDA0"] })).toEqual([
      { rank: "error", code: "binary-failed", exit: "missingFile", message: "no list" },
    ]);
  });
});

describe("a worker that a profile names", () => {
  const workers = ["10.0.0.2:1", "10.0.0.3:1"];
  const list = (name: string) => `Available devices:\n  ${name}: there (9 MiB, 9 MiB free)\n`;

  test("is asked for its devices, which count as there", async () => {
    session.devices = [gpu];
    session.build.put("llama-server", [
      { when: "--rpc 10.0.0.2:1", stdout: `${list("RPC0")}  CUDA0: here (1 MiB, 1 MiB free)\n` },
      { when: "--rpc 10.0.0.3:1", stdout: list("RPC0") },
    ]);
    const findings = await findingsOf({ rpc: { workers }, devices: ["CUDA0", "RPC0", "rpc1", "RPC2"] });
    expect(findings.map(({ rank, code, at }) => [rank, code, at])).toEqual([
      ["error", "device-missing", "p.yaml:devices.3"],
      ["warning", "rpc-unprotected", "p.yaml:rpc.workers"],
    ]);
    expect(findings[0]?.message).toBe(
      'this build has no device "RPC2" here: it has CUDA0 (a GPU), RPC0 (there), RPC1 (there)',
    );
  });

  test("is an error at its place when it cannot be used, and its devices are then not known", async () => {
    session.devices = [gpu];
    session.build.put("llama-server", [
      { when: "--rpc 10.0.0.2:1", stdout: list("RPC0") },
      { when: "--rpc 10.0.0.3:1", stderr: "Failed to connect to 10.0.0.3:1\n", exitCode: 1 },
    ]);
    const findings = await findingsOf({ rpc: { workers }, devices: ["RPC0", "rpc1", "CUDA7"] });
    expect(findings.slice(0, 2)).toEqual([
      {
        rank: "error",
        code: "rpc-worker-unusable",
        exit: "unavailable",
        message: "no worker listens on 10.0.0.3:1",
        at: "p.yaml:rpc.workers.1",
        fix: 'start it on its machine: "llmctl up" with a profile of "kind: rpc-worker"',
      },
      expect.objectContaining({ code: "device-missing", at: "p.yaml:devices.2" }),
    ]);
    expect(findings.map(({ code }) => code)).toEqual(["rpc-worker-unusable", "device-missing", "rpc-unprotected"]);
  });

  test("is not asked while the profile runs, since its server has it", async () => {
    session.devices = [gpu];
    await using _running = await FakeSupervisor.start(session.paths);
    const findings = await findingsOf({ rpc: { workers }, devices: ["RPC0"] });
    expect(findings.map(({ code }) => code)).toEqual(["rpc-unprotected", "memory-unknown"]);
    expect(session.build.asked().filter((line) => line.includes("--rpc"))).toEqual([]);
  });
});

describe("the address of a server", () => {
  test("that is taken is an error, except of a profile that runs", async () => {
    const server = createServer();
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as AddressInfo;
    try {
      const [finding, ...more] = await findingsOf({ server: { port } });
      expect(finding).toEqual({
        rank: "error",
        code: "port-in-use",
        exit: "unavailable",
        message: expect.stringContaining(`port ${port} is in use`) as string,
        at: "p.yaml:server.port",
        fix: expect.stringContaining("server.port") as string,
      });
      expect(more).toEqual([]);
      const worker = { kind: "rpc-worker", model: undefined, llama: { binary: session.build.server } };
      session.build.put("rpc-server", [{ when: "--help", stdout: "--host --port" }]);
      const codes = async () => (await findingsOf({ ...worker, server: { port } })).map(({ code }) => code);
      expect(await codes()).toEqual(["port-in-use", "rpc-unprotected"]);
      await using _running = await FakeSupervisor.start(session.paths);
      expect(await findingsOf({ server: { port } })).toEqual([]);
      expect(await codes()).toEqual(["rpc-unprotected"]);
    } finally {
      server.close();
    }
  });

  test("that is a unix socket is looked at as one", async () => {
    const findings = await findingsOf({ server: { host: "/nowhere/p.sock" } });
    expect(findings).toMatchObject([{ rank: "error", at: "p.yaml:server.host" }]);
    expect(findings[0]).not.toHaveProperty("kind");
    expect(await findingsOf({ server: { host: `${session.build.folder}/p.sock` } })).toEqual([]);
  });
});

describe("a worker", () => {
  const help = "--host --port --device --threads --cache";
  const worker = (more: Readonly<Record<string, unknown>> = {}) =>
    makeProfile({
      kind: "rpc-worker",
      model: undefined,
      llama: { binary: session.build.server },
      server: { port: 50_052 },
      ...more,
    });

  test("has its build and flags, and nothing of a server", async () => {
    session.build.put("ggml-rpc-server", [{ when: "--help", stdout: help }]);
    session.devices = [gpu];
    const profile = worker({ devices: ["CUDA0", "CUDA7"] });
    const { findings, ...rest } = await check(profile);
    expect(rest).toEqual({
      profile,
      build: session.build.server,
      files: [],
      flags: [
        { key: "server.host", path: ["server", "host"], args: ["--host", "127.0.0.1"] },
        { key: "server.port", path: ["server", "port"], args: ["--port", "50052"] },
        { key: "devices", path: ["devices"], args: ["--device", "CUDA0,CUDA7"] },
      ],
      notes: [],
      drafting: { wanted: false, reason: "the profile asks for none" },
      memory: [],
    });
    expect(findings.map(({ code, at }) => [code, at])).toEqual([
      ["device-missing", "p.yaml:devices.1"],
      ["rpc-unprotected", "p.yaml:server.host"],
    ]);
  });

  test("without a program has no flags", async () => {
    const { build, flags, findings } = await check(worker({ devices: ["CUDA7"] }));
    expect([build, flags]).toEqual([undefined, []]);
    expect(findings.map(({ code }) => code)).toEqual(["worker-missing", "rpc-unprotected"]);
  });
});

describe("the memory that the models take", () => {
  const help =
    "----- common params -----\n\n-m,    --model FNAME                    model path\n" +
    [
      "-c,    --ctx-size N",
      "-ngl,  --gpu-layers N",
      "-dev,  --device <dev1,dev2,..>",
      "-fa,   --flash-attn [on|off|auto]",
      "-ctk,  --cache-type-k TYPE",
      "--fit-print [on|off]",
    ]
      .map((head) => `${head.padEnd(40)}help\n`)
      .join("");

  /** The llama-fit-params of the build, which answers for the target, then for the draft. */
  function putFitParams(target: string, draft = ""): void {
    session.build.put("llama-fit-params", [
      { when: "--help", stdout: help },
      { when: "--version", stdout: "version: 1" },
      { when: `--model ${model}`, stdout: target },
      { when: "--model", stdout: draft },
    ]);
  }

  const host = hostMemory();

  test("is added up over both models, and compared with what is free", async () => {
    session.devices = [gpu, other];
    putFitParams("CUDA0 15000 4000 900 \nHost 100 0 1 \n", "CUDA0 100 10 1 \nCUDA1 2 1 1 \n");
    const draft = { model: session.writeModel("draft.gguf"), devices: ["CUDA1"], cache_type_k: "f16" };
    const profile = makeProfile({ model, draft, gpu_layers: 99, ctx_size: 512, flash_attn: "on", devices: ["CUDA0"] });
    const { memory, findings } = await check(profile);
    expect(memory.map(({ device, needsMib }) => [device, needsMib])).toEqual([
      ["CUDA0", 20_011],
      ["CUDA1", 4],
      ["Host", 101],
    ]);
    expect(memory[0]).toEqual({ device: "CUDA0", needsMib: 20_011, freeMib: 20_000, totalMib: 24_000 });
    expect(memory[2]?.totalMib).toBe(host.totalMib);
    expect(findings).toEqual([
      {
        rank: "warning",
        code: "device-memory-short",
        message: "CUDA0: the models take 21.0 GB, 21.0 GB of 25.2 GB are free",
        at: "p.yaml:model",
        fix: "stop what uses it; or lower ctx_size or gpu_layers, or set fit: true",
      },
    ]);
    const lines = session.build.asked("llama-fit-params").filter((line) => line.startsWith("--model"));
    expect(lines).toEqual([
      `--model ${model} --ctx-size 512 --device CUDA0 --gpu-layers 99 --flash-attn on --fit-print on`,
      `--model ${draft.model} --ctx-size 512 --device CUDA1 --flash-attn on --cache-type-k f16 --fit-print on`,
    ]);
  });

  test("is no finding where a restart of the running server would free enough", async () => {
    session.devices = [gpu];
    putFitParams("CUDA0 20001 0 0 \n");
    await using _running = await FakeSupervisor.start(session.paths);
    const { memory, findings } = await check(makeProfile({ model, gpu_layers: 99 }));
    expect(memory).toEqual([{ device: "CUDA0", needsMib: 20_001, freeMib: 24_000, totalMib: 24_000 }]);
    expect(findings).toEqual([]);
  });

  test("is an error where it is more than a device has", async () => {
    session.devices = [gpu];
    putFitParams("CUDA0 24001 0 0 \n");
    expect(await findingsOf({ gpu_layers: 99 })).toEqual([
      {
        rank: "error",
        code: "memory-too-small",
        exit: "unavailable",
        message: "CUDA0: the models take 25.2 GB, 21.0 GB of 25.2 GB are free",
        at: "p.yaml:model",
        fix: "lower ctx_size or gpu_layers, or set fit: true",
      },
    ]);
  });

  test.each([
    ["layers that are free to move", {}, "note"],
    ["layers that are free to move by name", { gpu_layers: "auto" }, "note"],
    ["layers whose fit is off", { fit: false }, "error"],
    ["a fixed number of layers", { gpu_layers: 7 }, "error"],
  ])("is judged with %s", async (_, values, rank) => {
    session.devices = [gpu];
    putFitParams("CUDA0 24001 0 0 \n");
    expect((await findingsOf(values)).map((one) => one.rank)).toEqual([rank]);
  });

  test.each([
    [{}, "read from disk again"],
    [{ mmap: true }, "read from disk again"],
    [{ mmap: false }, "end the server"],
    [{ mlock: true }, "end the server"],
  ])("that RAM lacks ends as the profile %j decides", async (values, outcome) => {
    putFitParams(`Host ${host.totalMib + 1} 0 0 \n`);
    expect(await findingsOf(values)).toMatchObject([
      { rank: "warning", code: "ram-short", message: expect.stringContaining(outcome), at: "p.yaml:model" },
    ]);
  });

  test("of a build that only says whether a model fits is a warning", async () => {
    session.build.put("llama-fit-params", [
      { when: "--help", stdout: help.replace("--fit-print", "--fit-other") },
      {
        when: "--model",
        stderr: "common_fit_params: failed to fit params to free device memory: too much\nlast words\n",
        exitCode: 1,
      },
    ]);
    expect(await findingsOf({})).toEqual([
      {
        rank: "warning",
        code: "device-memory-short",
        message: "llama.cpp cannot make the model fit: too much",
        at: "p.yaml:model",
        fix: "lower ctx_size or gpu_layers, or stop what uses the devices",
      },
    ]);
    session.build.put("llama-fit-params", [{ when: "--help", stdout: help.replace("--fit-print", "--fit-other") }]);
    expect(await findingsOf({ ctx_size: 7 })).toEqual([]);
  });

  test("is not known where the program fails", async () => {
    session.build.put("llama-fit-params", [
      { when: "--help", stdout: help },
      { when: "--model", stderr: "a reason\n", exitCode: 1 },
    ]);
    expect(await findingsOf({})).toEqual([
      {
        rank: "note",
        code: "memory-unknown",
        message:
          `the memory that the models take is not known: "${session.build.folder}/llama-fit-params" ` +
          "failed to tell how much memory the model needs: a reason",
        at: "p.yaml:model",
      },
    ]);
  });

  test("is not asked with unified memory, where a device holds more than it has", async () => {
    putFitParams("CUDA0 24001 0 0 \n");
    session.devices = [gpu];
    const { memory, findings } = await check(makeProfile({ model, env: { GGML_CUDA_ENABLE_UNIFIED_MEMORY: "1" } }));
    expect([memory, findings]).toEqual([[], []]);
  });

  test("is not known where workers hold the models", async () => {
    putFitParams("CUDA0 24001 0 0 \n");
    session.build.put("llama-server", [
      { when: "--rpc 10.0.0.2:1", stdout: "Available devices:\n  RPC0: there (9 MiB, 9 MiB free)\n" },
    ]);
    expect((await findingsOf({ rpc: { workers: ["10.0.0.2:1"] } }))[1]).toEqual({
      rank: "note",
      code: "memory-unknown",
      message: "whether the models fit is not known: they are spread over workers",
      at: "p.yaml:model",
    });
  });

  test("is not asked where an error is known already", async () => {
    putFitParams("CUDA0 24001 0 0 \n");
    session.devices = [gpu];
    expect((await findingsOf({ devices: ["CUDA7"] })).map(({ code }) => code)).toEqual(["device-missing"]);
  });

  test("is asked once for the same question", async () => {
    putFitParams("Host 1 1 1 \n");
    const name = (to: string): Profile => ({ ...makeProfile({ model }), name: to });
    await checkProfiles([name("a")], session);
    await checkProfiles([name("b")], session);
    expect(session.build.asked("llama-fit-params")).toHaveLength(3);
  });
});
