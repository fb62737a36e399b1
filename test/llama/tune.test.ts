import { readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { describe, expect, inject, test } from "vitest";
import { decodeTexts } from "../../src/gguf/gguf-array.ts";
import { readHeader } from "../../src/gguf/read-header.ts";
import type { TuneReport } from "../../src/bench/tune-report.ts";
import { buildGguf, readParts } from "../support/gguf-builder.ts";
import { llmctl, startLlmctl } from "../support/llmctl.ts";
import { ensurePaddedPair } from "../support/padded-pair.ts";
import { upServing } from "../support/real-server.ts";
import { demoDraft, TempHome } from "../support/temp-home.ts";

const { server } = inject("llama");

/** Chats of different kinds: n-grams of one answer are of no use for another. */
const prompts = [
  "Tell me a story about an otter.",
  "What did the fox find in the wood?",
  "Write a sad story with a boat and a storm.",
  "Who helped the little bird?",
  "Why was the king angry?",
  "Describe a day on a farm.",
  "Where did the child hide?",
  "Say how a cake is made.",
].map((content) => ({
  messages: [{ role: "user", content }],
  temperature: 0,
  max_tokens: 32,
}));

/** Any token may come, so that neither a draft nor an n-gram can tell the next one. */
const chaos = { temperature: 5, top_k: 0, top_p: 1, min_p: 0, ignore_eos: true };

async function prepare(home: TempHome, sampling: Readonly<Record<string, unknown>> = {}): Promise<string[]> {
  const file = join(home.path, "prompts.jsonl");
  await writeFile(file, prompts.map((line) => `${JSON.stringify({ ...line, ...sampling })}\n`).join(""));
  return ["--prompts", file, "--clock", "cpu", "--for", "20s"];
}

/** For `padded` drafting pays, for `plain` it costs more than it brings, `silent` has no draft. */
async function writeProfiles(home: TempHome): Promise<{ readonly padded: string; readonly plain: string }> {
  const { target, draft } = await ensurePaddedPair();
  const llama = { binary: server };
  await home.writeProfile("silent", { extends: "demo-plain", llama });
  return {
    padded: await home.writeProfile("padded", { extends: "demo", llama, model: target, draft: { model: draft } }),
    plain: await home.writeProfile("plain", { extends: "demo-plain", llama, draft: { model: demoDraft, n_max: 4 } }),
  };
}

/** On a busy machine the time that is asked for is the smaller part. */
const measuring = { timeoutMs: 170_000 };

async function tune(home: TempHome, args: readonly string[]): Promise<TuneReport> {
  const { stdout, stderr, exitCode } = await llmctl(["tune", ...args, "--json"], { home, ...measuring });
  expect(exitCode, stderr).toBe(0);
  return JSON.parse(stdout) as TuneReport;
}

function loadsByStage({ stages }: TuneReport): Record<string, number> {
  return Object.fromEntries(stages.map(({ name, loads }) => [name, loads]));
}

describe("llmctl tune", () => {
  test("finds a setting that pays, writes it, and the profile drafts with it", { timeout: 240_000 }, async () => {
    await using home = await TempHome.create();
    const { padded } = await writeProfiles(home);
    const args = await prepare(home);
    const { stdout, stderr, exitCode } = await llmctl(["tune", "padded", ...args, "--yes"], { home, ...measuring });
    expect(exitCode, stderr).toBe(0);
    expect(stdout).toMatch(/draft-simple n_max \d+ p_min [\d.]+ pays 1\.\d\d × \(/);
    const written = await readFile(padded, "utf8");
    expect(written).toMatch(/# .*1\.\d\d × .* against no draft/);
    const { drafting } = await upServing(home, "padded");
    expect(drafting).toMatchObject({ state: "on" });
    await llmctl(["down", "padded"], { home });
  });

  test("a second run begins with what the first one has measured", { timeout: 240_000 }, async () => {
    await using home = await TempHome.create();
    await writeProfiles(home);
    const args = ["padded", ...(await prepare(home))];
    const first = await tune(home, args);
    const second = await tune(home, args);
    expect(loadsByStage(first)).toMatchObject({ baseline: 1, trace: 1 });
    expect(loadsByStage(second)).toMatchObject({ baseline: 0, trace: 0 });
    expect(second.predicted).toEqual(first.predicted);
    expect(second.rounds.slice(0, first.rounds.length)).toEqual(first.rounds);
  });

  test("takes out a draft that does not pay, and keeps its lines as comments", { timeout: 240_000 }, async () => {
    await using home = await TempHome.create();
    const { plain } = await writeProfiles(home);
    const { stdout, exitCode } = await llmctl(["tune", "plain", ...(await prepare(home, chaos)), "--yes"], {
      home,
      ...measuring,
    });
    expect(exitCode).toBe(0);
    expect(stdout).toContain("drafting does not pay here");
    const written = await readFile(plain, "utf8");
    expect(written).toMatch(/^# *draft:/m);
    expect(written).not.toMatch(/^draft:/m);
    expect((await llmctl(["check", "plain"], { home })).exitCode).toBe(0);
  });

  test("tries n-gram types for a profile without a draft, and says that MTP is not possible", async () => {
    await using home = await TempHome.create();
    await writeProfiles(home);
    const report = await tune(home, ["silent", ...(await prepare(home))]);
    const reasons = new Map(report.candidates.map(({ label, thrownOut }) => [label, thrownOut]));
    expect([...reasons.keys()]).toEqual(expect.arrayContaining(["ngram-simple", "ngram-mod"]));
    expect(reasons.get("ngram-simple")).toBeNull();
    expect(reasons.get("draft-mtp")).toContain("no NextN (MTP) layer");
    expect(report.draftBefore).toBeNull();
  });
});

/** The demo draft, whose tokens stand for other texts. */
async function writeForeignDraft(path: string): Promise<void> {
  const key = "tokenizer.ggml.tokens";
  const tokens = (await readHeader(demoDraft)).metadata.get(key);
  if (tokens?.type !== "array") throw new Error("a model without tokens");
  const others = decodeTexts(tokens).map((text, index) => (index < 10 ? text : `${text}~`));
  const { metadata, ...parts } = await readParts(await readFile(demoDraft));
  await writeFile(path, buildGguf({ ...parts, metadata: { ...metadata, [key]: others } }));
}

describe("llmctl tune --draft", () => {
  test("throws out what cannot draft or cannot win before it loads anything", { timeout: 240_000 }, async () => {
    await using home = await TempHome.create();
    await writeProfiles(home);
    const { target: large } = await ensurePaddedPair();
    const foreign = join(home.path, "foreign.gguf");
    await writeForeignDraft(foreign);
    const drafts = ["--draft", large, "--draft", foreign];
    const report = await tune(home, ["silent", ...drafts, ...(await prepare(home, chaos))]);
    const reasons = new Map(report.candidates.map(({ label, thrownOut }) => [label, thrownOut]));
    const labelOf = (path: string) => `draft-simple with ${basename(path)}`;
    expect(reasons.get(labelOf(large))).toMatch(/^even at 95 % acceptance it could reach 0\.\d\d ×$/);
    expect(reasons.get(labelOf(foreign))).toContain("token");
    expect(loadsByStage(report)).not.toHaveProperty("trace");
  });
});

describe("llmctl tune, interrupted", () => {
  test.each(["SIGINT", "SIGKILL"] as const)("goes on after %s", { timeout: 240_000 }, async (signal) => {
    await using home = await TempHome.create();
    await writeProfiles(home);
    const args = ["padded", ...(await prepare(home))];
    {
      await using running = startLlmctl(["tune", ...args], { home });
      await running.waitForLine(/^trace of draft-simple is ready/);
      await running.stop(signal);
    }
    const report = await tune(home, args);
    expect(loadsByStage(report)).toMatchObject({ baseline: 0 });
    expect(report.finalists.length).toBeGreaterThan(0);
  });
});

describe("llmctl tune on a build of before April 2026", () => {
  test("sweeps the settings by requests to one server", { timeout: 240_000 }, async () => {
    await using home = await TempHome.create();
    const old = inject("llamaBuilds").find(({ ref }) => ref === "b7698") ?? expect.fail("no old build");
    const { target, draft } = await ensurePaddedPair();
    const llama = { binary: old.server };
    await home.writeProfile("old", { extends: "demo", llama, model: target, draft: { model: draft } });
    const report = await tune(home, ["old", ...(await prepare(home))]);
    expect(loadsByStage(report)).toMatchObject({ sweep: 0 });
    expect(report.predicted.length).toBeGreaterThan(2);
    expect(report.finalists.length).toBeGreaterThan(0);
  });
});
