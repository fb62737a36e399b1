import { appendFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Supervised } from "../../support/supervised.ts";
import { goodProof } from "../../support/fake-system.ts";
import type { makeLaunch } from "../../support/make-launch.ts";

// A server whose draft loses, from its log lines to its restart without the draft.

const fallback = { args: ["--plain"], files: [] };
const launch = {
  args: ["--draft"],
  hash: "wanted",
  costs: { stepMs: [{ contextTokens: 100, ms: 10 }], targetMs: null, draftMs: null, reevaluates: true },
  fallback,
} as const;

/** Client requests of 100 steps each, with this speed compared with the costs. The proof's are first. */
function serve(one: Supervised, ratio: number, count = 8, first = 0): void {
  for (let request = 0; request < first + count; request += 1) {
    const noise = request % 2 === 0 ? 1.01 : 0.99;
    const at = (name: string) => `slot ${name}: id  0 | task ${request} | `;
    const lines = [
      `${at("launch_slot_")}processing task, is_child = 0`,
      `${at("print_timing")}       eval time = ${((1000 * noise) / ratio).toFixed(2)} ms / 101 tokens`,
      `${at("print_timing")}draft acceptance = 0.5 ( 25 accepted / 50 generated), mean len = 2.0`,
      `${at("     release")}stop processing: n_tokens = 150, truncated = 0`,
    ];
    appendFileSync(one.logPath, `${lines.join("\n")}\n`);
  }
}

const lossText = /^drafting costs more than it brings: 0\.80 × \(0\.\d\d to 0\.\d\d\) the speed without a draft/;

test("a loss is told once, in the status, and changes nothing where the profile asks for no more", async () => {
  const { fallback: _, ...warned } = launch;
  await using one = new Supervised(warned);
  await one.ready();
  serve(one, 0.8, 8, goodProof.requests);
  await one.clock.advance(600_000);
  serve(one, 0.8);
  await one.clock.advance(600_000);
  expect(one.since().filter((text) => lossText.test(text.replace(/^\d+ /, "")))).toHaveLength(1);
  expect(one.supervisor.status()).toMatchObject({
    state: "ready",
    runs: 1,
    warnings: [expect.stringMatching(lossText)],
    draftingSpeedup: { ratio: expect.closeTo(0.8, 1) as number, draftTokens: 200, verdict: "loses" },
  });
});

/** A server that has fallen back. */
async function fallenBack(more: Parameters<typeof makeLaunch>[0] = {}): Promise<Supervised> {
  const one = new Supervised({ ...launch, ...more });
  await one.ready();
  serve(one, 0.8, 8, goodProof.requests);
  await one.clock.advance(5000);
  one.since();
  await one.reachNext("ready");
  return one;
}

describe("with a fallback the server", () => {
  test("is restarted without its draft once it is idle, and the status says why", async () => {
    await using one = await fallenBack();
    const told = one.since().map((text) => text.replace(/^\d+ /, ""));
    expect(told).toContain('stopping for a restart, asked for by draft.on_loss "restart"');
    expect(told).not.toContain("asks for a proof");
    expect(one.supervisor.status()).toMatchObject({
      state: "ready",
      runs: 2,
      restarts: 0,
      hash: "wanted",
      command: { args: ["--plain"] },
      drafting: {
        state: "off",
        reason: expect.stringMatching(/^it was slower \(0\.80 ×\), restarted without the draft at 20\d\d-/) as string,
      },
      draftingSpeedup: null,
      warnings: [],
    });
  });

  test("waits for the end of the requests", async () => {
    await using one = new Supervised(launch);
    await one.ready();
    one.answers.busy = 1;
    serve(one, 0.8, 8, goodProof.requests);
    await one.clock.advance(600_000);
    expect(one.supervisor.status()).toMatchObject({ state: "ready", runs: 1, command: { args: ["--draft"] } });
    one.answers.busy = 0;
    await one.reachNext("ready");
    expect(one.supervisor.status()).toMatchObject({ runs: 2, command: { args: ["--plain"] } });
  });

  test("stays without its draft after a crash, and falls back no second time", async () => {
    await using one = await fallenBack();
    one.processes.end(one.pid, { code: 1, signal: null });
    await one.reachNext("ready");
    expect(one.supervisor.status()).toMatchObject({ runs: 3, restarts: 1, command: { args: ["--plain"] } });
    serve(one, 0.5, 20);
    await one.clock.advance(600_000);
    expect(one.supervisor.status()).toMatchObject({ runs: 3, draftingSpeedup: null, warnings: [] });
  });

  test("drafts again after a restart that a person asks for", async () => {
    await using one = await fallenBack();
    one.supervisor.restart(undefined, "you");
    await one.reachNext("ready");
    expect(one.supervisor.status()).toMatchObject({ drafting: { state: "on" }, command: { args: ["--draft"] } });
  });

  test("is stopped when a person asks for that meanwhile", async () => {
    await using one = new Supervised(launch);
    await one.ready();
    serve(one, 0.8, 8, goodProof.requests);
    await one.reachNext("stopping");
    one.supervisor.down("you");
    await one.clock.advance(60_000);
    expect(one.exit).toBe("done");
  });
});
