import { describe, expect, test } from "vitest";
import type { BenchPrompt } from "../../../../src/bench/bench-prompt.ts";
import type { DraftSetting } from "../../../../src/bench/predict/replay.ts";
import { sweepSettings } from "../../../../src/bench/tune/sweep-settings.ts";

const prompt = (id: string): BenchPrompt => ({ id, kind: "own", excerpt: id, path: "/completion", body: {} });
const prompts = Array.from({ length: 6 }, (_, index) => prompt(`p${index}`));

/** A server for which five tokens are the best length, whatever the prompt. */
function createServer({ fails = [] as readonly string[] } = {}) {
  const asked: { readonly id: string; readonly setting: DraftSetting | undefined }[] = [];
  const ask = async ({ id }: BenchPrompt, setting: DraftSetting | undefined) => {
    asked.push({ id, setting });
    if (fails.includes(id)) return { error: "the prompt is longer than the context" };
    const speed = setting === undefined ? 1 : 2 - Math.abs(setting.nMax - 5) / 10 - setting.pMin / 10;
    const ms = 1000 / speed;
    const drafts = { draftTokens: (setting?.nMax ?? 0) * 10, acceptedTokens: 0 };
    return { tokens: 100, generateMs: ms, cpuMs: ms, promptTokens: 5, firstTokenMs: 1, ...drafts };
  };
  return { asked, ask };
}

describe("a sweep by requests", () => {
  test("leaves the best settings, each with its speed over that without drafting", async () => {
    const { ask } = createServer();
    const left = await sweepSettings({ prompts, timing: "cpu", ask });
    const rows = left.map(({ setting, ratio, sums }) => [setting.nMax, setting.pMin, ratio.toFixed(2), sums.drafted]);
    expect(rows.slice(0, 3)).toEqual([
      [4, 0, "1.90", 240],
      [6, 0, "1.90", 360],
      [4, 0.5, "1.85", 240],
    ]);
    expect(left).toHaveLength(6);
  });

  test("asks fewer and fewer settings, and never the same prompt twice in a row", async () => {
    const { asked, ask } = createServer();
    await sweepSettings({ prompts, timing: "cpu", ask });
    const count = (id: string) => asked.filter((one) => one.id === id).length;
    expect(prompts.map(({ id }) => count(id))).toEqual([25, 25, 13, 13, 13, 13]);
    for (const [index, { id }] of asked.slice(1).entries()) expect(id).not.toBe(asked[index]?.id);
  });

  test("goes on without a prompt that fails, and finds nothing where all fail", async () => {
    const some = await sweepSettings({ prompts, timing: "cpu", ask: createServer({ fails: ["p0"] }).ask });
    expect(some[0]?.ratio).toBeCloseTo(1.9, 6);
    const fails = prompts.map(({ id }) => id);
    expect(await sweepSettings({ prompts, timing: "cpu", ask: createServer({ fails }).ask })).toEqual([]);
  });
});
