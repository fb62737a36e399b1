import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  findCostKey,
  type KeptCosts,
  pickStepCosts,
  readKeptCosts,
  writeKeptCosts,
} from "../../../../src/llama/draft/kept-costs.ts";

const costs: KeptCosts = {
  version: 1,
  key: "0123456789abcdef0123456789abcdef",
  machine: ["8 × a processor"],
  draftKey: "d",
  measuredAt: "2026-01-01T00:00:00.000Z",
  build: "b1",
  source: "bench",
  stepMs: [
    { contextTokens: 40, ms: 8 },
    { contextTokens: 4000, ms: 9.5 },
  ],
  targetMs: [8, 8.5],
  draftMs: null,
  reevaluates: true,
};

let data: string;
beforeEach(() => (data = mkdtempSync(join(tmpdir(), "llmctl-costs-"))));
afterEach(() => rmSync(data, { recursive: true }));

const folder = () => join(data, "bench", "costs");
const path = () => join(folder(), `${costs.key}.json`);

function write(content: string): void {
  mkdirSync(folder(), { recursive: true, mode: 0o700 });
  writeFileSync(path(), content);
}

describe("kept costs", () => {
  test("are read as they were written, and replaced by newer ones", async () => {
    expect(await readKeptCosts(data, costs.key)).toBeUndefined();
    await writeKeptCosts(data, costs);
    expect(await readKeptCosts(data, costs.key)).toEqual(costs);
    // Beside the noise of a measurement a small draft costs nothing.
    await writeKeptCosts(data, { ...costs, source: "tune", draftMs: [1, 0] });
    expect(await readKeptCosts(data, costs.key)).toEqual({ ...costs, source: "tune", draftMs: [1, 0] });
    expect(readdirSync(folder())).toEqual([`${costs.key}.json`]);
  });

  test.each<[string, object]>([
    ["another version", { version: 2 }],
    ["another key", { key: "other" }],
    ["an unknown source", { source: "a guess" }],
    ["no length of a context", { stepMs: [] }],
    ["a step without a time", { stepMs: [{ contextTokens: 40, ms: 0 }] }],
    ["a negative length of a context", { stepMs: [{ contextTokens: -1, ms: 8 }] }],
    ["a step of an hour", { stepMs: [{ contextTokens: 40, ms: 3_600_000 }] }],
    ["a text for a time", { targetMs: ["8"] }],
    ["more entries than a measurement has", { targetMs: Array.from({ length: 5000 }, () => 8) }],
    ["a missing key", { draftMs: undefined }],
  ])("with %s count as none", async (_, change) => {
    write(JSON.stringify({ ...costs, ...change }));
    expect(await readKeptCosts(data, costs.key)).toBeUndefined();
  });

  test("that are no costs at all count as none", async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string(), fc.json()), async (content) => {
        write(content);
        expect(await readKeptCosts(data, costs.key)).toBeUndefined();
      }),
      { numRuns: 50 },
    );
    rmSync(path());
    symlinkSync("/dev/zero", path());
    expect(await readKeptCosts(data, costs.key)).toBeUndefined();
  });
});

test("a launch is compared with the costs of batches only where its own draft was measured", () => {
  const whole = { ...costs, draftMs: [1, 2] };
  const { stepMs, targetMs, reevaluates } = costs;
  expect(pickStepCosts(whole, "d")).toEqual({ stepMs, targetMs, draftMs: [1, 2], reevaluates });
  expect(pickStepCosts(whole, "other")).toEqual({ stepMs, targetMs: null, draftMs: null, reevaluates });
  expect(pickStepCosts(costs, "d")).toEqual({ stepMs, targetMs: null, draftMs: null, reevaluates });
  expect(pickStepCosts(whole, null)).toEqual({ stepMs, targetMs, draftMs: null, reevaluates });
});

test("a binary that is gone has no key", async () => {
  const question = { file: join(data, "gone"), build: "b", targetFiles: [], flags: [], profileEnv: "" };
  expect(await findCostKey(question)).toBeUndefined();
});
