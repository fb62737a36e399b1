import { mkdirSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Device } from "../../../../src/llama/ask/devices.ts";
import { askFitCached } from "../../../../src/llama/ask/fit-params-cache.ts";
import { askFitParams, findFitParams } from "../../../../src/llama/ask/fit-params.ts";
import { FlagCatalogue } from "../../../../src/llama/ask/flag-catalogue.ts";
import { parseHelp } from "../../../../src/llama/ask/help-text.ts";
import { FakeBuild, type Reply } from "../../../support/fake-build.ts";

const head = `${"-m,    --model FNAME".padEnd(40)}model path\n`;
const old = new FlagCatalogue("1", parseHelp(head));
const printing = new FlagCatalogue("1", parseHelp(`${head}${"--fit-print [on|off]".padEnd(40)}print\n`));
const gpu: Device = { name: "CUDA0", description: "a GPU", totalMib: 24_000, freeMib: 20_000 };
const env = { A: "b" };
const args = ["--model", "/m.gguf"];

let build: FakeBuild;
let program: string;
beforeEach(() => {
  build = new FakeBuild();
  program = put({ stdout: "CUDA0 1 2 3 \nHost 4 5 6 \n" });
});
afterEach(() => build[Symbol.dispose]());

function put(reply: Omit<Reply, "when">): string {
  return build.put("llama-fit-params", [{ when: "--model", ...reply }]);
}

const needs = {
  kind: "needs",
  parts: [
    { device: "CUDA0", modelMib: 1, contextMib: 2, computeMib: 3 },
    { device: "Host", modelMib: 4, contextMib: 5, computeMib: 6 },
  ],
};

test("the program is looked for beside the server", async () => {
  expect(await findFitParams(build.server)).toBe(program);
  expect(await findFitParams("/nowhere/llama-server")).toBeUndefined();
  rmSync(program);
  writeFileSync(program, "", { mode: 0o600 });
  expect(await findFitParams("/dev/null/llama-server")).toBeUndefined();
});

describe("a program that is asked for the memory that a model needs", () => {
  const ask = (catalogue: FlagCatalogue) => askFitParams({ program, args, env, catalogue });
  const asked = () => build.asked("llama-fit-params");
  const full = "E common_fit_params: failed to fit params to free device memory: it needs more\n";

  test("prints it, where it can", async () => {
    expect(await ask(printing)).toEqual(needs);
    expect(asked()).toEqual(["--model /m.gguf --fit-print on"]);
  });

  test("says only that it fits, where it cannot", async () => {
    expect(await ask(old)).toEqual({ kind: "fits" });
    expect(asked()).toEqual(["--model /m.gguf"]);
  });

  test("says that it does not fit, with the reason", async () => {
    put({ stderr: `${full}exiting\n`, exitCode: 1 });
    expect(await ask(old)).toEqual({ kind: "does-not-fit", reason: "it needs more" });
    expect(await ask(printing)).toEqual({ kind: "does-not-fit", reason: "it needs more" });
  });

  test.each([{ stderr: full, exitCode: 2 }, { stderr: "something else\n", exitCode: 1 }, { exitCode: 1 }])(
    "fails: %j",
    async (reply) => {
      put(reply);
      await expect(ask(printing)).rejects.toMatchObject({
        code: "binary-failed",
        message: expect.stringContaining("failed to tell how much memory the model needs") as string,
      });
    },
  );
});

describe("the answer is kept", () => {
  const ask = (more: object = {}) => {
    const model = join(build.folder, "m.gguf");
    const question = { program, args, env, catalogue: printing, cacheDir: join(build.folder, "cache"), devices: [gpu] };
    return askFitCached({ ...question, files: [{ path: model, sizeBytes: 1 }], ...more });
  };
  const runs = () => build.asked("llama-fit-params").length;
  const other = (count: number) => [{ path: "/nowhere.gguf", sizeBytes: count }];
  beforeEach(() => writeFileSync(join(build.folder, "m.gguf"), "m"));

  test.each<[string, () => object]>([
    ["the same question", () => ({})],
    ["another amount of free memory", () => ({ devices: [{ ...gpu, freeMib: 1 }] })],
  ])("for %s", async (_, change) => {
    expect(await ask()).toEqual(needs);
    expect(await ask(change())).toEqual(needs);
    expect(runs()).toBe(1);
  });

  test.each<[string, () => object]>([
    ["other arguments", () => ({ args: [...args, "--ctx-size", "7"] })],
    ["another environment", () => ({ env: {} })],
    ["another device", () => ({ devices: [{ ...gpu, name: "CUDA1" }] })],
    ["a device of another kind", () => ({ devices: [{ ...gpu, description: "another" }] })],
    ["a device of another size", () => ({ devices: [{ ...gpu, totalMib: 1 }] })],
    ["other files", () => ({ files: other(1) })],
    ["a file that has changed", () => (utimesSync(join(build.folder, "m.gguf"), 1, 1), {})],
    ["a file that has grown", () => (writeFileSync(join(build.folder, "m.gguf"), "mm"), {})],
    ["another program", () => (utimesSync(program, 1, 1), {})],
  ])("not for %s", async (_, change) => {
    await ask();
    await ask(change());
    expect(runs()).toBe(2);
  });

  test("for a file that is not here, since the program then fails by itself", async () => {
    expect(await ask({ files: other(1) })).toEqual(needs);
    expect(await ask({ files: other(2) })).toEqual(needs);
    expect(runs()).toBe(1);
  });

  test.each([
    ["a split over devices", { stdout: "CUDA0 1 2 3 \nCUDA1 1 2 3 \n" }],
    ["a model that does not fit", { stderr: "failed to fit params to free device memory: no\n", exitCode: 1 }],
  ])("not of %s, which depends on what is free now", async (_, reply) => {
    put(reply);
    await ask();
    await ask();
    expect(runs()).toBe(2);
  });

  test.each([
    '{"kind":"fits"}',
    '{"kind":"needs"}',
    '{"kind":"needs","parts":[{"device":1,"modelMib":1,"contextMib":1,"computeMib":1}]}',
    '{"kind":"needs","parts":[{"device":"Host","modelMib":0.5,"contextMib":1,"computeMib":1}]}',
    '{"kind":"needs","parts":[{"device":"Host","modelMib":1,"computeMib":1}]}',
    '{"kind":"needs","parts":[{"device":"Host","modelMib":1,"contextMib":1}]}',
    '{"kind":"needs","parts":[null]}',
    "null",
    "{",
  ])("not when what is kept is %s", async (text) => {
    await ask();
    const folder = join(build.folder, "cache/memory");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, readdirSync(folder)[0] ?? ""), text);
    expect(await ask()).toEqual(needs);
    expect(runs()).toBe(2);
  });
});
