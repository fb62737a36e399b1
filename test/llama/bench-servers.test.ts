import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { findPaths } from "../../src/base/files/paths.ts";
import type { BenchPrompt } from "../../src/bench/bench-prompt.ts";
import { chatPrompt } from "../../src/bench/prompts/parse-prompt.ts";
import { readPrompts, readShortPrompts } from "../../src/bench/prompts/read-prompts.ts";
import { selectFitting } from "../../src/bench/prompts/select-fitting.ts";
import { BenchServer } from "../../src/bench/servers/bench-server.ts";
import { measurePrompts, type MeasureOptions } from "../../src/bench/servers/measure-prompts.ts";
import { planSetting } from "../../src/bench/servers/plan-setting.ts";
import { PlanSession } from "../../src/llama/plan/plan-session.ts";
import { checkedSizes, measureBatchCosts } from "../../src/llama/server/batch-costs.ts";
import type { MeasuredAnswer } from "../../src/llama/server/measured-answer.ts";
import { countPromptTokens, readContextTokens } from "../../src/llama/server/prompt-tokens.ts";
import { loadProfile } from "../../src/profiles/load.ts";
import type { Launch } from "../../src/supervisor/launch.ts";
import { bundleSources } from "../support/bundle-sources.ts";
import { isAlive, untilGone } from "../support/processes.ts";
import { TempHome } from "../support/temp-home.ts";

let home: TempHome;
const { signal } = new AbortController();

beforeEach(async () => {
  home = await TempHome.create();
});

// Fails when a process is left.
afterEach(() => home[Symbol.asyncDispose]());

/** The launch of the demo, with its draft model or without. */
async function plan(binary: string, isDrafting: boolean, more: object = {}): Promise<Launch> {
  const path = await home.writeProfile("bench", { extends: "demo", llama: { binary }, ...more });
  const env = { ...process.env, LLMCTL_HOME: home.path };
  const profile = await loadProfile(path, { folders: ["profiles"], env });
  const session = new PlanSession(findPaths(env), env);
  const draft = isDrafting ? profile.values.draft : undefined;
  const { launch } = await planSetting(profile, draft, { label: "bench", session });
  return { ...launch, args: [...launch.args, "--temp", "0"] };
}

async function start(binary: string, isDrafting: boolean, more: object = {}): Promise<BenchServer> {
  return BenchServer.start(await plan(binary, isDrafting, more), { folder: home.join("bench"), signal });
}

const story = (hero: string): BenchPrompt => chatPrompt(`Tell me a story about ${hero}.`);
const otter = story("an otter");

async function textsOf(
  server: BenchServer,
  prompts: readonly BenchPrompt[],
  options: Partial<MeasureOptions> = {},
): Promise<{ readonly results: unknown; readonly answers: readonly MeasuredAnswer[] }> {
  const answers: MeasuredAnswer[] = [];
  const onAnswer = (_: BenchPrompt, answer: MeasuredAnswer) => void answers.push(answer);
  const results = await measurePrompts(server, prompts, {
    signal,
    timing: "wall",
    maxTokens: 48,
    onAnswer,
    ...options,
  });
  return { results, answers };
}

const some = expect.any(Number) as number;

describe.each(inject("llamaBuilds"))("on $ref", ({ server: binary }) => {
  test("two servers run side by side, answer alike, and only one of them drafts", async () => {
    await using plain = await start(binary, false);
    await using drafting = await start(binary, true);
    expect(plain.endpoint).not.toEqual(drafting.endpoint);
    const first = await textsOf(plain, [otter]);
    const second = await textsOf(drafting, [otter]);
    const measured = { tokens: 47, generateMs: some, cpuMs: null, promptTokens: 16, firstTokenMs: some };
    expect(first.results).toEqual([{ ...measured, draftTokens: 0, acceptedTokens: 0 }]);
    expect(second.results).toEqual([{ ...measured, draftTokens: some, acceptedTokens: some }]);
    expect(second.answers[0]?.draftTokens).toBeGreaterThan(0);
    expect(second.answers[0]?.text).toBe(first.answers[0]?.text);
    expect(first.answers[0]).toMatchObject({ finishReason: "length", tokens: 48 });
  });

  test("measured by processor time, a prompt drafts the same as by the clock", async () => {
    await using server = await start(binary, true);
    const wall = await textsOf(server, [otter]);
    // b7698 drafts its last answer again when the same prompt follows at once.
    await textsOf(server, [story("a horse")]);
    const cpu = await textsOf(server, [otter], { timing: "cpu" });
    const { draftTokens, acceptedTokens, text } = wall.answers[0] ?? {};
    expect(cpu.answers).toMatchObject([{ draftTokens, acceptedTokens, text }]);
    expect(cpu.results).toEqual([
      { tokens: 47, generateMs: some, cpuMs: some, promptTokens: 16, firstTokenMs: some, draftTokens, acceptedTokens },
    ]);
    expect(server.readCpuMs()).toBeGreaterThan(0);
    expect(server.readWaitMs()).toBeGreaterThanOrEqual(0);
  });

  test("prompts at the same time share a server, and one that is too long does not stop the others", async () => {
    await using server = await start(binary, true, { parallel: 2, ctx_size: 1024 });
    const { results } = await textsOf(server, [otter, chatPrompt("word ".repeat(1000)), story("a horse")]);
    expect(results).toMatchObject([
      { tokens: 47 },
      { error: expect.stringMatching(/^the prompt is longer than the context: .*\d{4} tokens/) as string },
      { tokens: 47 },
    ]);
  });

  test("text is continued, and its answer ends where the model ends it", async () => {
    await using server = await start(binary, false);
    const prompt: BenchPrompt = { ...otter, path: "/completion", body: { prompt: "<|im_start|>user\nHi<|im_end|>\n" } };
    const { results, answers } = await textsOf(server, [prompt], { maxTokens: 400 });
    expect(results).toMatchObject([{ tokens: (answers[0]?.tokens ?? 0) - 1 }]);
    expect(["eos", "limit"]).toContain(answers[0]?.finishReason);
  });

  test.each([false, true])("batches of 1 to 17 tokens have a price, with a draft model: %s", async (isDrafting) => {
    await using server = await start(binary, isDrafting);
    const costs = await measureBatchCosts(server.endpoint, { signal, repeats: 2 });
    expect([...costs.keys()]).toEqual(checkedSizes);
    // One token of so small a model takes less processor time than its request varies by.
    const readCpuMs = () => server.readSettledCpuMs();
    const cpuCosts = await measureBatchCosts(server.endpoint, { signal, repeats: 2, readCpuMs, sizes: [64, 128] });
    expect([...cpuCosts.keys()]).toEqual(expect.arrayContaining([64, 128]));
  });

  test("short questions are asked in place of prompts that the context has no room for", async () => {
    await using server = await start(binary, false);
    const { prompts: shipped } = await readPrompts(undefined);
    const { prompts, notes } = await selectFitting(shipped, {
      contextTokens: await readContextTokens(server.endpoint, signal),
      countTokens: (prompt) => countPromptTokens(server.endpoint, prompt, signal),
      readShort: readShortPrompts,
    });
    expect(prompts).toEqual(await readShortPrompts());
    expect(notes).toEqual([
      "some of the usual prompts leave no room for an answer in a context of 512 tokens: " +
        "24 short questions are asked in their place",
    ]);
    for (const prompt of prompts)
      expect(await textsOf(server, [prompt], { maxTokens: 2 })).toMatchObject({ results: [{ tokens: 1 }] });
  });

  test("a server that is killed while it answers is a failed request with its cause, and keeps its log", async () => {
    const server = await start(binary, false);
    const asked = textsOf(server, [{ ...otter, body: { ...otter.body, max_tokens: 400, logit_bias: [[2, false]] } }]);
    process.kill(server.pid, "SIGKILL");
    expect(await asked).toMatchObject({ results: [{ error: "the server was killed (SIGKILL)" }] });
    expect(server.hasDied()).toBe(true);
    await server.stop();
    expect(existsSync(server.logPath)).toBe(true);
  });

  test("a model that cannot be loaded is an error with its cause, and with the path of the log", async () => {
    const launch = await plan(binary, false);
    const args = launch.args.map((arg) => (arg.endsWith("demo-target.gguf") ? "/dev/null" : arg));
    const failed = BenchServer.start({ ...launch, args }, { folder: home.join("bench"), signal });
    await expect(failed).rejects.toMatchObject({
      code: "bench-server-died",
      message: expect.stringContaining("a model file is damaged") as string,
      at: expect.stringContaining(home.join("bench", "server-")) as string,
    });
  });

  test("an interrupted request ends at once, and so does its server", async () => {
    const controller = new AbortController();
    const server = await start(binary, false);
    const asked = measurePrompts(server, [otter], { signal: controller.signal, timing: "wall", maxTokens: 400 });
    controller.abort(new Error("Ctrl-C"));
    await expect(asked).rejects.toThrow("Ctrl-C");
    await server.stop();
    expect(isAlive(server.pid)).toBe(false);
    expect(readdirSync(home.join("bench"))).toEqual([]);
  });
});

describe("when the process that measures ends", () => {
  const { server: binary } = inject("llama");

  test.each<[string, string, (pid: number) => void]>([
    ["by SIGKILL", "", (pid) => process.kill(pid, "SIGKILL")],
    ["by Ctrl-C", "", (pid) => process.kill(pid, "SIGINT")],
    ["by an exception", 'process.stdin.once("data", () => { throw new Error("a bug"); });', () => undefined],
  ])("%s, its server ends with it", async (_, more, end) => {
    const modules = await bundleSources(["bench/servers/bench-server.ts"], home.join("bundle"));
    const launch = JSON.stringify(await plan(binary, true));
    const script = home.join("measure.mjs");
    await writeFile(
      script,
      `import { BenchServer } from ${JSON.stringify(modules("bench/servers/bench-server.ts"))};
       const options = { folder: ${JSON.stringify(home.join("bench"))}, signal: new AbortController().signal };
       const server = await BenchServer.start(${launch}, options);
       process.stdin.resume();
       ${more}
       console.log(server.pid);`,
    );
    const child = spawn(process.execPath, [script], { stdio: ["pipe", "pipe", "ignore"] });
    const [line] = (await once(createInterface(child.stdout), "line")) as [string];
    const pid = Number(line);
    expect(isAlive(pid)).toBe(true);
    const ended = once(child, "exit");
    end(child.pid ?? 0);
    // A killed process reads nothing.
    child.stdin.on("error", () => undefined);
    child.stdin.end("now\n");
    await ended;
    await untilGone(pid);
  });
});
