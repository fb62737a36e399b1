import { describe, expect, test } from "vitest";
import type { LlmctlError } from "../../../src/base/errors.ts";
import { type ContainerChoice, planContainer } from "../../../src/export/plan-container.ts";
import { seconds, startupSeconds } from "../../../src/export/container.ts";
import { makeProfile, readCatalogue } from "../../support/llama-help.ts";

const target = [
  { name: "o/r/m-00001-of-00002.gguf", source: "/hub/1", sizeBytes: 1 },
  { name: "o/r/m-00002-of-00002.gguf", source: "/hub/2", sizeBytes: 1 },
];
const draft = [{ name: "d.gguf", source: "/d.gguf", sizeBytes: 1 }];

function plan(
  values: Readonly<Record<string, unknown>>,
  choice: Partial<ContainerChoice> = {},
  models: object = { target },
) {
  return planContainer(
    makeProfile(values),
    { target, ...models },
    { catalogue: readCatalogue("v0.5.0"), release: "v0.5.0", ...choice },
  );
}

function problemOf(action: () => unknown): { code: string; at: string | undefined } {
  try {
    action();
  } catch (error) {
    const { code, at } = error as LlmctlError;
    return { code, at };
  }
  throw new Error("nothing was thrown");
}

function valueOf(args: readonly string[], flag: string): string | undefined {
  return args[args.indexOf(flag) + 1];
}

describe("planContainer", () => {
  test("the server finds its models, its keys and its address inside the container", () => {
    const { args, publish, apiKeyFile } = plan(
      { draft: { model: "/d.gguf" }, server: { host: "0.0.0.0", port: 8001, api_key_file: "/etc/keys" } },
      {},
      { draft },
    );
    expect(valueOf(args, "--model")).toBe("/models/o/r/m-00001-of-00002.gguf");
    expect(valueOf(args, "--spec-draft-model")).toBe("/models/d.gguf");
    expect(valueOf(args, "--api-key-file")).toBe("/run/secrets/api-keys");
    expect(valueOf(args, "--port")).toBe("8080");
    expect(valueOf(args, "--host")).toBe("0.0.0.0");
    expect(publish).toEqual({ host: "0.0.0.0", port: 8001 });
    expect(apiKeyFile).toBe("/etc/keys");
  });

  test("knows the key of each argument, and the places of arguments and variables", () => {
    const { args, argKeys = [], places } = plan({ alias: "a", env: { A: "b" }, args: ["--grammar", "x"] });
    expect(argKeys).toHaveLength(args.length);
    expect(args.filter((_, index) => argKeys[index] === "args[0]")).toEqual(["--grammar", "x"]);
    expect(places).toMatchObject({ alias: "p.yaml:alias", "env.A": "p.yaml:env.A", "args[0]": "p.yaml:args.0" });
  });

  test("uses the flags of the image's release", () => {
    const { args } = plan(
      { draft: { model: "/d.gguf", n_max: 4 } },
      { catalogue: readCatalogue("b7698"), release: "b7698" },
      { draft },
    );
    expect(valueOf(args, "--draft-max")).toBe("4");
    expect(args).not.toContain("--spec-type");
  });

  test("mounts the other files that flags name", () => {
    const { args, files } = plan({ args: ["--lora", "/adapters/style.gguf"] });
    expect(valueOf(args, "--lora")).toBe("/models/style.gguf");
    expect(files).toContainEqual({ name: "style.gguf", source: "/adapters/style.gguf", sizeBytes: 0 });
  });

  test("does not split a path at any character; only a list has several", () => {
    const sources = (values: object) =>
      plan({ ...values })
        .files.map(({ source }) => source)
        .slice(target.length);
    expect(sources({ mmproj: "/x.gguf,/etc/shadow" })).toEqual(["/x.gguf,/etc/shadow"]);
    expect(sources({ chat_template_file: "/a:/b.jinja" })).toEqual(["/a:/b.jinja"]);
    expect(sources({ lora: ["/a:b.gguf", "/c.gguf"] })).toEqual(["/a:b.gguf", "/c.gguf"]);
    const scaled = plan({ lora: [{ path: "/a.gguf", scale: 0.5 }, "/c.gguf"] });
    expect(scaled.files.map(({ source }) => source).slice(target.length)).toEqual(["/a.gguf", "/c.gguf"]);
    expect(valueOf(scaled.args, "--lora-scaled")).toBe("/models/a.gguf:0.5,/models/c.gguf:1.0");
  });

  test("puts saved contexts into a writable folder that ends with the container", () => {
    const { args, files, notes } = plan({ server: { slot_save_path: "/var/slots" } });
    expect(valueOf(args, "--slot-save-path")).toBe("/tmp");
    expect(files).toEqual(target);
    expect(notes).toContain("saved contexts are lost with the container");
  });

  test("does not look for the devices of workers in the image", () => {
    const { args, gpu } = plan({ devices: ["CUDA0", "RPC0"], rpc: { workers: ["10.0.0.2:50052"] } });
    expect(valueOf(args, "--device")).toBe("CUDA0,RPC0");
    expect(valueOf(args, "--rpc")).toBe("10.0.0.2:50052");
    expect(gpu).toEqual({ kind: "cuda", count: 1 });
  });

  test("refuses two files of one name", () => {
    const action = () => plan({ args: ["--lora", "/adapters/d.gguf"], draft: { model: "/d.gguf" } }, {}, { draft });
    expect(problemOf(action)).toEqual({ code: "file-names-clash", at: "/d.gguf and /adapters/d.gguf" });
  });

  test.each([
    [
      { devices: ["CUDA0"], draft: { type: "ngram-mod", devices: ["CUDA0", "CUDA1"] } },
      "server-cuda-v0.5.0",
      { kind: "cuda", count: 2 },
    ],
    [{ devices: ["Vulkan0"] }, "server-vulkan-v0.5.0", { kind: "vulkan", count: 1 }],
    [{ devices: ["ROCm1"] }, "server-rocm-v0.5.0", { kind: "rocm", count: 2 }],
    [{ gpu_layers: 0 }, "server-v0.5.0", { kind: "none" }],
    [{}, "server-cuda-v0.5.0", { kind: "cuda", count: 1 }],
  ])("%j runs in the image %s", (values, tag, gpu) => {
    expect(plan(values)).toMatchObject({ image: `ghcr.io/ggml-org/llama.cpp:${tag}`, gpu });
  });

  test("takes a backend, GPUs and an image as options", () => {
    expect(plan({}, { backend: "cpu", image: "mine:1" })).toMatchObject({ image: "mine:1", gpu: { kind: "none" } });
    expect(plan({}, { gpus: 3 }).gpu).toEqual({ kind: "cuda", count: 3 });
  });

  test("refuses a device that the image cannot have, with its place", () => {
    expect(problemOf(() => plan({ devices: ["CUDA0"] }, { backend: "cpu" }))).toEqual({
      code: "device-not-in-image",
      at: "p.yaml:devices",
    });
  });

  test.each([
    ["CUDA255", {}],
    ["CUDA256", { gpus: 1 }],
  ])("%s is a GPU that a container can be given", (device, choice) => {
    expect(plan({ devices: [device] }, choice).gpu.kind).toBe("cuda");
  });

  test.each(["CUDA256", "CUDA4294967295", `CUDA${"1".repeat(300_000)}x${"1".repeat(300_000)}`])(
    "refuses a number of GPUs for devices that are claimed by name",
    (device) => {
      expect(problemOf(() => plan({ devices: [device] }))).toEqual({ code: "too-many-gpus", at: "p.yaml:devices" });
    },
  );

  test("gives a load that may take any time (0s) the longest time", () => {
    expect(startupSeconds(plan({ health: { stall_timeout: "0s" } }).probes)).toBe(1_000_000_000);
  });

  test("keeps long durations within whole numbers that each format can hold", () => {
    const spec = plan({ health: { stall_timeout: "9007199254740993d" }, stop: { timeout: "9007199254740993d" } });
    expect([startupSeconds(spec.probes), seconds(spec.stopTimeoutMs)]).toEqual([1_000_000_000, 1_000_000_000]);
  });

  test("leaves out the values of secret variables", () => {
    const spec = plan({ env: { HF_TOKEN: "hf_secret", CUDA_VISIBLE_DEVICES: "0" } });
    expect(spec.secretEnv).toEqual(["HF_TOKEN"]);
    expect(JSON.stringify(spec)).not.toContain("hf_secret");
    expect(spec.env).toEqual({ CUDA_VISIBLE_DEVICES: "0" });
  });

  test("leaves values from the environment in the environment", () => {
    const profile = { ...makeProfile({ env: { A: "literal", B: "from outside" } }), envFromOutside: ["B"] };
    const { env, secretEnv } = planContainer(
      profile,
      { target },
      { catalogue: readCatalogue("v0.5.0"), release: "v0.5.0" },
    );
    expect({ env, secretEnv }).toEqual({ env: { A: "literal" }, secretEnv: ["B"] });
  });

  test("refuses a host on which no port can be published", () => {
    expect(problemOf(() => plan({ server: { host: "fe80::1%n" } }))).toEqual({
      code: "no-address",
      at: "p.yaml:server.host",
    });
    expect(problemOf(() => plan({ server: { host: "/run/llama.sock" } }))).toEqual({
      code: "no-address",
      at: "p.yaml:server.host",
    });
    expect(plan({ server: { host: "localhost" } }).publish).toEqual({ host: "127.0.0.1", port: 8080 });
  });

  test("reports what such a container cannot do", () => {
    expect(plan({ priority: "realtime" }).notes.join("\n")).toContain("priority realtime is not permitted");
    expect(plan({ draft: { model: "/d.gguf" } }, {}, { draftingOff: "token 5 differs" }).args).not.toContain(
      "--spec-draft-model",
    );
  });
});
