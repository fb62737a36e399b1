import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { describe, expect, inject, test } from "vitest";
import type { BenchReport } from "../../src/bench/bench-report.ts";
import { llmctl, type RunOptions, startLlmctl } from "../support/llmctl.ts";
import { ensurePaddedPair } from "../support/padded-pair.ts";
import { readStatus, untilStatus } from "../support/processes.ts";
import { askForStory, upServing } from "../support/real-server.ts";
import { TempHome } from "../support/temp-home.ts";
import { until } from "../support/until.ts";

const { server } = inject("llama");

/** Short chats whose answers have a fixed length, so that every server does the same work. */
const prompts = ["an otter", "a farm", "a king", "a boat", "the sea", "a fox"].map((subject) => ({
  messages: [{ role: "user", content: `Tell me a story about ${subject}.` }],
  temperature: 0,
  max_tokens: 48,
}));

async function prepare(home: TempHome): Promise<string> {
  const file = join(home.path, "prompts.jsonl");
  await writeFile(file, prompts.map((line) => `${JSON.stringify(line)}\n`).join(""));
  return file;
}

/** Profiles on the real server: for `padded` drafting pays, for `plain` it costs more than it brings. */
async function writeProfiles(home: TempHome): Promise<void> {
  const { target, draft } = await ensurePaddedPair();
  const llama = { binary: server };
  await home.writeProfile("padded", { extends: "demo", llama, model: target, draft: { model: draft } });
  await home.writeProfile("plain", { extends: "demo", llama });
  await home.writeProfile("silent", { extends: "demo-plain", llama });
}

/** On a busy machine the time that is asked for is the smaller part. */
const measuring = { timeoutMs: 110_000 };

async function bench(home: TempHome, args: readonly string[], options: Partial<RunOptions> = {}): Promise<BenchReport> {
  const { stdout, stderr, exitCode } = await llmctl(["bench", ...args, "--json"], { home, ...measuring, ...options });
  expect(exitCode, stderr).toBe(0);
  return JSON.parse(stdout) as BenchReport;
}

describe("llmctl bench", () => {
  test(
    "says that drafting pays where it does, and writes a page with its data beside it",
    { timeout: 120_000 },
    async () => {
      await using home = await TempHome.create();
      await writeProfiles(home);
      const file = await prepare(home);
      const page = join(home.path, "result.html");
      const args = ["padded", "--prompts", file, "--clock", "cpu", "--for", "20s", "--report", page];
      const report = await bench(home, args);
      expect(report.verdict.kind, report.sentence).toBe("pays");
      expect(report.sentence).toMatch(/^pays \d\.\d\d × \(\d\.\d\d to \d\.\d\d\)/);
      expect(report.settings.map(({ label }) => label)).toEqual(["none", "profile"]);
      expect(report.settings[0].command.args.join(" ")).not.toContain("draft");
      expect(report.acceptedByPosition).toHaveLength(4);
      expect(report.predicted?.map(({ nMax }) => nMax)).toEqual(Array.from({ length: 16 }, (_, index) => index + 1));
      expect(await readFile(page, "utf8")).toContain(report.sentence);
      expect(JSON.parse(await readFile(join(home.path, "result.json"), "utf8"))).toEqual(report);
    },
  );

  test("says that drafting loses where it does", { timeout: 120_000 }, async () => {
    await using home = await TempHome.create();
    await writeProfiles(home);
    const report = await bench(home, ["plain", "--prompts", await prepare(home), "--clock", "cpu", "--for", "15s"]);
    expect(report.verdict.kind, report.sentence).toBe("loses");
    expect(report.sentence).toMatch(/^loses: 0\.\d\d × /);
  });

  test("says that nothing can be shown where it measures too little, and goes on from there next time", async () => {
    await using home = await TempHome.create();
    await writeProfiles(home);
    const file = join(home.path, "one.txt");
    await writeFile(file, "Tell me a story about an otter.\n");
    const args = ["plain", "--prompts", file, "--tokens", "16", "--for", "1ms"];
    const first = await bench(home, args);
    expect(first).toMatchObject({ end: "time-over", verdict: { kind: "unknown" } });
    expect(first.sentence).toMatch(/^no difference can be shown after /);
    const second = await llmctl(["bench", ...args, "--json"], { home });
    expect(second.stderr).toContain(`goes on after ${first.rounds.length} round`);
    const fresh = await llmctl(["bench", ...args, "--json", "--fresh"], { home });
    expect(fresh.stderr).not.toContain("goes on after");
  });

  test("refuses a profile that does not draft, and names what looks for a way", async () => {
    await using home = await TempHome.create();
    await writeProfiles(home);
    const { exitCode, stderr } = await llmctl(["bench", "silent"], { home });
    expect(exitCode).toBe(78);
    expect(stderr).toContain('"silent" does not draft: the profile asks for none');
    expect(stderr).toContain("llmctl tune silent");
  });

  test("goes on with the others when a prompt is longer than the context", async () => {
    await using home = await TempHome.create();
    await writeProfiles(home);
    const file = join(home.path, "long.jsonl");
    const long = { messages: [{ role: "user", content: "otter ".repeat(2000) }] };
    await writeFile(file, [long, ...prompts].map((line) => `${JSON.stringify(line)}\n`).join(""));
    const report = await bench(home, ["plain", "--prompts", file, "--for", "2s"]);
    const failed = report.rounds.flatMap(({ results }) => Object.values(results)).filter((result) => "error" in result);
    expect(failed[0]).toEqual({ error: expect.stringContaining("the prompt is longer than the context") });
    expect(report.rounds.length).toBeGreaterThan(2);
  });

  test("tells when no prompt fits", async () => {
    await using home = await TempHome.create();
    await writeProfiles(home);
    const file = join(home.path, "long.txt");
    await writeFile(file, `${"otter ".repeat(2000)}\n`);
    const { exitCode, stderr } = await llmctl(["bench", "plain", "--prompts", file], { home });
    expect(exitCode).toBe(1);
    expect(stderr).toContain("no prompt was answered by both servers");
    expect(stderr).toContain("the prompt is longer than the context");
  });
});

describe("after llmctl bench", () => {
  /**
   * The speed without a draft is kept only of a quiet machine. A real-time process does not wait for others; where that
   * is not allowed, a measurement goes on until it was quiet for long enough.
   */
  async function benchQuietly(home: TempHome, args: readonly string[]): Promise<void> {
    const realTime = ["chrt", "--fifo", "1"];
    const { failed } = await execa("chrt", ["--fifo", "1", "true"], { reject: false });
    const tries = 5;
    for (let run = 0; run < tries; run += 1) {
      const { notes } = await bench(home, args, failed ? {} : { via: realTime });
      if (!notes.some((note) => note.startsWith("too few quiet rounds"))) return;
    }
    throw new Error(`the machine was busy during ${tries} measurements`);
  }

  test("a server knows its speed without a draft, and its guard judges what clients ask", async () => {
    await using home = await TempHome.create();
    await writeProfiles(home);
    const before = await upServing(home, "padded");
    expect(before.baselineTokensPerSecond).toBeNull();
    await llmctl(["down", "padded"], { home });
    const page = join(home.path, "result.html");
    await benchQuietly(home, ["padded", "--prompts", await prepare(home), "--for", "5s", "--report", page]);
    const serving = await upServing(home, "padded");
    expect(serving.baselineTokensPerSecond).toBeGreaterThan(0);
    for (let request = 0; request < 12; request += 1) await askForStory(serving.url);
    const { draftingSpeedup } = await untilStatus(
      home,
      "padded",
      "judged",
      (status) => status.draftingSpeedup !== null,
    );
    expect(draftingSpeedup).toMatchObject({ ratio: expect.any(Number), draftTokens: expect.any(Number) });
    expect(draftingSpeedup?.draftTokens).toBeGreaterThanOrEqual(200);
    await llmctl(["down", "padded"], { home });
  });
});

describe("llmctl bench, interrupted", () => {
  test("shows what it has, and leaves no server", async () => {
    await using home = await TempHome.create();
    await writeProfiles(home);
    await using running = startLlmctl(["bench", "plain", "--prompts", await prepare(home), "--for", "10m"], { home });
    await running.waitForLine(/^profile is ready/);
    const { exitCode, stdout } = await running.stop("SIGINT");
    expect(exitCode).toBe(130);
    expect(stdout).toContain("plain: ");
  });

  test.each(["SIGINT", "SIGKILL"] as const)("starts what it has stopped again after %s", async (signal) => {
    await using home = await TempHome.create();
    await writeProfiles(home);
    const { pid } = await upServing(home, "plain");
    const args = ["bench", "padded", "--prompts", await prepare(home), "--replace", "plain", "--for", "10m"];
    await using running = startLlmctl(args, { home });
    await running.waitForLine(/"plain" is stopped; it starts again afterwards/);
    await running.waitForLine(/^profile is ready/);
    expect((await readStatus(home, "plain")).pid).toBeNull();
    await running.stop(signal);
    const again = await until("it runs again", async () => {
      const status = await readStatus(home, "plain");
      return status.state === "ready" && status.pid;
    });
    expect(again).not.toBe(pid);
    await llmctl(["down", "plain"], { home });
  });
});
