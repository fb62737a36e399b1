import { describe, expect, test } from "vitest";
import { MetricsBook } from "../../../src/control/metrics-book.ts";
import type { Status } from "../../../src/control/messages.ts";
import { makeStatus } from "../../support/make-status.ts";
import { Samples } from "../../support/read-metrics.ts";

const startedAt = "2026-01-01T00:00:00.000Z";
const spanStatus = {
  tokens: 100,
  draftTokens: 80,
  acceptedTokens: 60,
  acceptanceRate: 0.75,
  tokensPerSecond: 35,
  meanAcceptedLength: 3,
};
const status = makeStatus({
  drafting: { state: "on", draftTokens: 92, acceptedTokens: 71 },
  tokensPerSecond: 10,
  baselineTokensPerSecond: 8,
  traffic: { sinceStart: spanStatus, lastTenMinutes: spanStatus },
  loadMs: 1500,
  load: null,
  runs: 3,
  restarts: 2,
  restartsByCause: { killed: 1, "out-of-memory": 1 },
  startedAt,
  build: 'b1 "cpu"',
});

const nowMs = Date.parse(startedAt) + 60_000;

async function read(...changes: Partial<Status>[]): Promise<Samples> {
  const book = new MetricsBook("p");
  let text = "";
  for (const change of changes) text = await book.render({ ...status, ...change }, nowMs);
  return new Samples(text);
}

describe("a status as metrics", () => {
  test("have the state, restarts by cause, times and speed", async () => {
    const samples = await read({});
    expect(samples.value("llmctl_state", { profile: "p", state: "ready" })).toBe(1);
    expect(samples.value("llmctl_state", { profile: "p", state: "loading" })).toBe(0);
    expect(samples.value("llmctl_starts_total")).toBe(3);
    expect(samples.value("llmctl_restarts_total", { cause: "out-of-memory" })).toBe(1);
    expect(samples.value("llmctl_server_uptime_seconds")).toBe(60);
    expect(samples.value("llmctl_load_seconds")).toBe(1.5);
    expect(samples.value("llmctl_drafting", { state: "on" })).toBe(1);
    expect(samples.value("llmctl_draft_acceptance_ratio")).toBe(0.75);
    expect(samples.value("llmctl_drafting_speedup_ratio")).toBe(0.9);
    expect(samples.value("llmctl_tokens_per_second")).toBe(35);
    expect(samples.value("llmctl_tokens_total")).toBe(100);
    expect(samples.value("llmctl_draft_accepted_tokens_total")).toBe(60);
    expect(samples.value("llmctl_build_info", { build: 'b1 "cpu"' })).toBe(1);
  });

  test("have no sample for an unknown number, even if it was known before", async () => {
    const nothing = { ...spanStatus, acceptanceRate: null, tokensPerSecond: null };
    const samples = await read(
      { load: { doneBytes: 1, totalBytes: 4 } },
      {
        state: "loading",
        startedAt: null,
        loadMs: null,
        draftingSpeedup: null,
        tokensPerSecond: null,
        traffic: { sinceStart: nothing, lastTenMinutes: nothing },
      },
    );
    for (const name of [
      "server_uptime_seconds",
      "load_seconds",
      "load_done_ratio",
      "draft_acceptance_ratio",
      "drafting_speedup_ratio",
      "tokens_per_second",
    ]) {
      expect(samples.value(`llmctl_${name}`), name).toBeUndefined();
    }
    expect(samples.value("llmctl_proof_tokens_per_second")).toBeUndefined();
  });

  test("of a supervisor that knows no speedup have none", async () => {
    const { draftingSpeedup: _, ...older } = status;
    const samples = new Samples(await new MetricsBook("p").render(older, nowMs));
    expect(samples.value("llmctl_drafting_speedup_ratio")).toBeUndefined();
  });

  test("have the present reason for not drafting as a label, and no other", async () => {
    const off = await read({}, { drafting: { state: "off", reason: 'token 5 differs:\n"a"' } });
    expect(off.value("llmctl_drafting")).toBe(0);
    expect(off.value("llmctl_drafting", { state: "off", reason: 'token 5 differs:\n"a"' })).toBe(0);
  });

  test("have counters of the total, however often they are read", async () => {
    expect((await read({}, {}, {})).value("llmctl_tokens_total")).toBe(100);
  });
});
