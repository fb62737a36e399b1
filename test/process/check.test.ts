import { chmod, copyFile, readFile, utimes, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { llmctl, type RunOptions } from "../support/llmctl.ts";
import { demoDraft, demoTarget, fakeLlamaServer, TempHome } from "../support/temp-home.ts";

interface Finding {
  readonly rank: "error" | "warning" | "note";
  readonly code: string;
  readonly message: string;
  readonly at?: string;
  readonly fix?: string;
}

interface Checked {
  readonly name: string;
  readonly findings: readonly Finding[];
  readonly memory?: readonly unknown[];
}

let home: TempHome;
beforeEach(async () => {
  home = await TempHome.create();
});
afterEach(() => home[Symbol.asyncDispose]());

async function checkJson<T>(
  args: readonly string[],
  more: Omit<RunOptions, "home"> = {},
): Promise<{ exitCode: number | undefined; checked: T }> {
  const { exitCode, stdout } = await llmctl(["check", "--json", ...args], { home, ...more });
  return { exitCode, checked: JSON.parse(stdout) as T };
}

const codes = ({ findings }: Checked) => findings.map(({ rank, code }) => `${rank} ${code}`);

/** The fake server behind a script that notes each run. */
async function countingServer(): Promise<{ readonly server: string; readonly runs: () => Promise<string[]> }> {
  const server = home.join("llama-server");
  await writeFile(
    server,
    `#!/bin/sh\necho "$*" >> "${home.join("runs")}"\nexec "${process.execPath}" "${fakeLlamaServer}" "$@"\n`,
  );
  await chmod(server, 0o755);
  return { server, runs: async () => (await readFile(home.join("runs"), "utf8")).trim().split("\n") };
}

/** A program beside the server. */
async function writeFitParams(lines: string): Promise<void> {
  const path = home.join("llama-fit-params");
  await writeFile(path, `#!/bin/sh\n${lines}\n`);
  await chmod(path, 0o755);
}

describe("one profile", () => {
  test("without problems: its parts are listed, and the exit code is 0", async () => {
    await home.writeFakeProfile("p");
    const { exitCode, stdout } = await llmctl(["check", "p"], { home });
    const lines = [
      "ok +profile .+",
      "ok +build .+",
      "ok +files .+\\n.+",
      "ok +flags +\\d+ accepted by the binary",
      "ok +drafting .+",
      "no problems found",
    ];
    expect(stdout).toMatch(new RegExp(`^${lines.join("\\n")}$`));
    expect(exitCode).toBe(0);
  });

  test("with problems of every kind: all are listed, errors first, each with its place and fix", async () => {
    const lines = ["CUDA0: NVIDIA RTX (100 MiB, 90 MiB free)"];
    const path = await home.writeProfile(
      "p",
      [
        `model: ${demoTarget}`,
        "draft:",
        "  model: /gone/draft.gguf",
        "devices: [CUDA0, CUDA7]",
        "ctx_size: 4096",
        'args: ["--cache-reuse", abc, "--threads-http", many]',
        `llama: { binary: ${fakeLlamaServer} }`,
        `env: { FAKE_LLAMA: '${JSON.stringify({ devices: lines })}' }`,
      ].join("\n"),
    );
    const { exitCode, checked } = await checkJson<Checked>(["p"]);
    expect(codes(checked)).toEqual([
      "error model-missing",
      "error device-missing",
      "error flag-refused",
      "error flag-refused",
      "warning context-beyond-training",
    ]);
    expect(checked.findings.map(({ at }) => at?.replace(path, "p.yaml").replace("config/profiles/", ""))).toEqual([
      "p.yaml:3:3",
      "p.yaml:4:18",
      "p.yaml:6:8",
      "p.yaml:6:30",
      "p.yaml:5:1",
    ]);
    expect(checked.findings.every(({ fix }) => fix !== undefined)).toBe(true);
    expect(exitCode).toBe(1); // their exit codes differ
  });

  test("that breaks the schema: every problem is listed", async () => {
    await home.writeProfile("p", "model: 7\nctx_sise: 3\n");
    const { exitCode, checked } = await checkJson<Checked>(["p"]);
    expect(codes(checked)).toEqual(["error profile-invalid", "error profile-invalid"]);
    expect(exitCode).toBe(78);
  });

  test("without a build: its models are checked all the same", async () => {
    await home.writeProfile("p", { model: "/gone/model.gguf", llama: { build: "v9" } });
    const { exitCode, checked } = await checkJson<Checked>(["p"]);
    expect(codes(checked)).toEqual(["error build-unknown", "error model-missing"]);
    expect(exitCode).toBe(66);
  });

  test("a missing projector and a missing adapter: reported as at a start", async () => {
    await home.writeFakeProfile("p", {}, { draft: undefined, mmproj: "/gone/mmproj.gguf", lora: ["/gone/lora.gguf"] });
    const { exitCode, checked } = await checkJson<Checked>(["p"]);
    expect(codes(checked)).toEqual(["error model-missing", "error model-missing"]);
    expect(exitCode).toBe(66);
    const { exitCode: planned, stderr } = await llmctl(["plan", "p"], { home });
    expect(stderr).toContain('model file "/gone/mmproj.gguf" is missing');
    expect(planned).toBe(0);
  });

  test("whose draft does not fit starts without it, or not at all", async () => {
    const profile = (onMismatch: string) => ({
      model: demoTarget,
      draft: { model: demoDraft, type: "draft-mtp", on_mismatch: onMismatch },
      llama: { binary: fakeLlamaServer },
    });
    await home.writeProfile("p", profile("disable"));
    await home.writeProfile("q", profile("fail"));
    const { exitCode, checked } = await checkJson<Checked[]>(["p", "q"]);
    expect(checked.map((one) => [one.name, ...codes(one)])).toEqual([
      ["p", "warning drafting-off"],
      ["q", "error draft-mismatch"],
    ]);
    expect(exitCode).toBe(78);
  });

  test("a priority that is not permitted is known before the start", async () => {
    await home.writeFakeProfile("p", {}, { priority: "realtime" });
    const via = process.getuid?.() === 0 ? ["setpriv", "--inh-caps=-all", "--bounding-set=-sys_nice", "--"] : [];
    const { exitCode, checked } = await checkJson<Checked>(["p"], { via });
    expect(codes(checked)).toEqual(["warning priority-not-permitted"]);
    expect(checked.findings[0]?.fix).toContain("LimitRTPRIO=90");
    expect(exitCode).toBe(0);
    expect((await llmctl(["plan", "p"], { home, via })).stderr).toContain(
      'no permission to start a server with priority "realtime"',
    );
  });

  test("a port that another process uses is reported", async () => {
    const holder = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => holder.once("listening", resolve));
    try {
      const { port } = holder.address() as AddressInfo;
      await home.writeFakeProfile("p", {}, { server: { port } });
      expect(await checkJson(["p"])).toMatchObject({ exitCode: 69, checked: { findings: [{ code: "port-in-use" }] } });
    } finally {
      holder.close();
    }
  });
});

describe("memory", () => {
  const printFlag = `echo "--fit-print [on|off]                    print the memory"`;
  const help = `"${process.execPath}" "${fakeLlamaServer}" --help; ${printFlag}`;
  const basics = `--help) ${help};; --version) echo "version: 1" >&2;;`;

  test("is computed by the build's own llama-fit-params, for both models", async () => {
    const { server } = await countingServer();
    await writeFitParams(
      `case "$*" in ${basics} *demo-draft*) echo "Host 10 1 1 ";; ` +
        `*) echo "$*" > "${home.join("asked")}"; echo "Host 90 4 4 ";; esac`,
    );
    await home.writeFakeProfile("p", {}, { llama: { binary: server }, ctx_size: 256, alias: "a" });
    const { checked } = await checkJson<Checked>(["p"]);
    expect(checked).toMatchObject({ memory: [{ device: "Host", needsMib: 110 }], findings: [] });
    expect(await readFile(home.join("asked"), "utf8")).toBe(`--model ${demoTarget} --ctx-size 256 --fit-print on\n`);
    expect((await llmctl(["check", "p"], { home })).stdout).toMatch(/^ok +memory +RAM 115\.3 MB of /m);
  });

  test("is computed once for the same model, and again when the model changes", async () => {
    const { server } = await countingServer();
    await writeFitParams(`case "$*" in ${basics} *) echo "$*" >> "${home.join("asked")}"; echo "Host 90 4 4 ";; esac`);
    const model = home.join("model.gguf");
    await copyFile(demoTarget, model);
    await home.writeFakeProfile("p", {}, { llama: { binary: server }, model, draft: undefined });
    const readAsked = async () => (await readFile(home.join("asked"), "utf8")).trim().split("\n").length;
    for (let run = 0; run < 2; run += 1) {
      expect((await checkJson<Checked>(["p"])).checked).toMatchObject({ memory: [{ needsMib: 98 }] });
      expect(await readAsked()).toBe(1);
    }
    await utimes(model, 1, 1);
    expect((await checkJson<Checked>(["p"])).checked).toMatchObject({ memory: [{ needsMib: 98 }] });
    expect(await readAsked()).toBe(2);
  });

  test("of several devices is computed each time, since it depends on their free memory", async () => {
    const { server } = await countingServer();
    await writeFitParams(
      `case "$*" in ${basics} *) echo "$*" >> "${home.join("asked")}"; ` +
        `echo "CUDA0 90 4 4 "; echo "CUDA1 90 4 4 ";; esac`,
    );
    const devices = ["CUDA0: a GPU (500 MiB, 400 MiB free)", "CUDA1: a GPU (500 MiB, 400 MiB free)"];
    await home.writeFakeProfile("p", { devices }, { llama: { binary: server }, draft: undefined });
    await checkJson(["p"]);
    await checkJson(["p"]);
    expect((await readFile(home.join("asked"), "utf8")).trim().split("\n")).toHaveLength(2);
  });

  test("that exceeds a device is an error with fixed layers, and a note otherwise", async () => {
    const { server } = await countingServer();
    await writeFitParams(`case "$*" in ${basics} *) echo "CUDA0 900 1 1 ";; esac`);
    const gpu = { devices: ["CUDA0: a GPU (500 MiB, 400 MiB free)"] };
    const shared = { llama: { binary: server }, draft: undefined };
    await home.writeFakeProfile("fixed", gpu, { ...shared, gpu_layers: 99 });
    await home.writeFakeProfile("free", gpu, shared);
    const { checked } = await checkJson<Checked[]>(["fixed", "free"]);
    expect(checked.map(codes)).toEqual([["error memory-too-small"], ["note device-memory-short"]]);
  });

  test("that cannot be computed is a note", async () => {
    const { server } = await countingServer();
    await writeFitParams(`case "$*" in ${basics} *) echo "no such tensor" >&2; exit 1;; esac`);
    await home.writeFakeProfile("p", {}, { llama: { binary: server } });
    const { exitCode, checked } = await checkJson<Checked>(["p"]);
    expect(checked.findings).toMatchObject([
      { rank: "note", code: "memory-unknown", message: expect.stringContaining("no such tensor") },
    ]);
    expect(exitCode).toBe(0);
  });
});

describe("many profiles", () => {
  test("the build is asked for its flags once, and parses all command lines in one run", async () => {
    const { server, runs } = await countingServer();
    const names = Array.from({ length: 12 }, (_, i) => `p${i}`);
    for (const name of names) await home.writeFakeProfile(name, {}, { alias: name, llama: { binary: server } });
    const { exitCode, checked } = await checkJson<Checked[]>(names);
    expect(checked.map(({ name }) => name)).toEqual(names);
    expect(checked.flatMap(({ findings }) => findings)).toEqual([]);
    expect(exitCode).toBe(0);
    const lines = await runs();
    expect(lines.filter((line) => line === "--help")).toHaveLength(1);
    expect(lines.filter((line) => line.startsWith("--model"))).toHaveLength(1);
    expect(lines).toHaveLength(3);
  });

  test("one refused profile among many is found, and the others are not blamed", async () => {
    for (const name of ["a", "b", "c"])
      await home.writeFakeProfile(name, {}, name === "b" ? { args: ["--cache-reuse", "abc"] } : {});
    const { checked } = await checkJson<Checked[]>(["a", "b", "c"]);
    expect(checked.map(codes)).toEqual([[], ["error flag-refused"], []]);
  });

  test("--all checks every profile, and the report ends with the totals", async () => {
    await home.writeFakeProfile("p");
    await home.writeFakeProfile("broken", {}, { args: ["--no-such-flag"] });
    const { exitCode, stdout } = await llmctl(["check", "--all"], { home });
    expect(stdout).toMatch(/^broken +1 error$/m);
    expect(stdout).toMatch(/^p +ok$/m);
    expect(stdout).toMatch(/^error {4}broken: "--no-such-flag" is unknown/m);
    expect(stdout).toMatch(/^demo +\d+ errors?/m); // shipped, and no build is installed here
    expect(stdout).toMatch(/\n\d+ profiles: \d+ errors.*$/);
    expect(exitCode).not.toBe(0);
  });

  test.each([
    [[], "missing required argument"],
    [["p", "--all"], "either names or --all"],
    [["p", "q", "--remote"], "--remote takes one profile"],
  ])("check %j is wrong usage", async (args, said) => {
    const { exitCode, stderr } = await llmctl(["check", ...args], { home });
    expect(stderr).toContain(said);
    expect(exitCode).toBe(2);
  });
});
