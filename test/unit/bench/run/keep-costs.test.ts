import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { keepCosts, type MeasuredCosts } from "../../../../src/bench/run/keep-costs.ts";
import type { BenchSetting } from "../../../../src/bench/servers/plan-setting.ts";
import { readKeptCosts } from "../../../../src/llama/draft/kept-costs.ts";
import { makeLaunch } from "../../../support/make-launch.ts";
import { makeProfile } from "../../../support/llama-help.ts";
import { makeRound } from "../../../support/make-rounds.ts";

let data: string;
beforeEach(() => (data = mkdtempSync(join(tmpdir(), "llmctl-costs-"))));
afterEach(() => rmSync(data, { recursive: true }));

function makeSetting(label: string, draft: string | null): BenchSetting {
  return {
    label,
    remembers: false,
    profile: makeProfile({ model: "/m.gguf" }),
    launch: makeLaunch({ build: "b1" }),
    flags: [],
    costKeys: { target: "target", draft },
  };
}

const measured: MeasuredCosts = {
  source: "bench",
  plain: makeSetting("none", null),
  drafting: makeSetting("profile", "of the draft"),
  rounds: Array.from({ length: 4 }, () => makeRound("p", { none: { tokens: 100, generateMs: 800, promptTokens: 20 } })),
  timing: "wall",
  concurrency: 1,
  batches: { target: [8, 9], draft: [1, 0] },
  machine: ["8 × a processor"],
  reevaluates: true,
};

const kept = {
  version: 1,
  key: "target",
  machine: ["8 × a processor"],
  draftKey: "of the draft",
  measuredAt: expect.any(String) as string,
  build: "b1",
  source: "bench",
  stepMs: [{ contextTokens: 70, ms: 8 }],
  targetMs: [8, 9],
  draftMs: [1, 0],
  reevaluates: true,
};

const read = () => readKeptCosts(data, "target");

test("the speed without a draft is kept with what batches cost, a draft that costs nothing included", async () => {
  expect(await keepCosts(measured, data)).toBeUndefined();
  expect(await read()).toEqual(kept);
});

test.each<[string, Partial<MeasuredCosts>, object]>([
  ["a target whose draft was not measured", { batches: { target: [8], draft: null } }, { targetMs: [8] }],
  ["no batches", { batches: null }, { targetMs: null }],
  ["no drafting setting", { drafting: undefined, batches: null }, { targetMs: null }],
])("of %s the draft has no key", async (_, changes, expected) => {
  expect(await keepCosts({ ...measured, ...changes }, data)).toBeUndefined();
  expect(await read()).toEqual({ ...kept, draftMs: null, draftKey: null, ...expected });
});

test("newer costs take the place of older ones", async () => {
  await keepCosts(measured, data);
  await keepCosts({ ...measured, source: "tune", batches: { target: [7], draft: [2] }, reevaluates: false }, data);
  expect(await read()).toEqual({ ...kept, source: "tune", targetMs: [7], draftMs: [2], reevaluates: false });
});

test.each<[string, MeasuredCosts["batches"]]>([
  ["nothing of batches", null],
  ["nothing of a draft", { target: [7], draft: null }],
])("a measurement that tells %s leaves what is known of them", async (_, batches) => {
  await keepCosts(measured, data);
  await keepCosts({ ...measured, source: "tune", batches, reevaluates: false }, data);
  expect(await read()).toEqual({ ...kept, source: "tune" });
});

test("what another machine has shown of batches is not taken over", async () => {
  await keepCosts(measured, data);
  const machine = ["8 × a processor", "CUDA0: a GPU"];
  await keepCosts({ ...measured, machine, batches: null }, data);
  expect(await read()).toMatchObject({ machine, targetMs: null, draftMs: null });
});

test("costs of a target alone take the place of others of a target alone", async () => {
  await keepCosts({ ...measured, batches: { target: [8], draft: null } }, data);
  await keepCosts({ ...measured, batches: { target: [7], draft: null } }, data);
  expect((await read())?.targetMs).toEqual([7]);
});

test.each<[string, Partial<MeasuredCosts>]>([
  ["processor time", { timing: "cpu" }],
  ["requests that overlapped", { concurrency: 2 }],
  ["no round", { rounds: [] }],
  ["a machine whose devices are not known", { machine: undefined }],
  ["a binary that cannot be looked at", { plain: { ...measured.plain, costKeys: undefined } }],
])("of %s nothing is kept and nothing is said", async (_, changes) => {
  expect(await keepCosts({ ...measured, ...changes }, data)).toBeUndefined();
  expect(await read()).toBeUndefined();
});

test("rounds of a busy machine are not kept, and the report says so", async () => {
  const rounds = measured.rounds.map((round) => ({ ...round, waitShare: 0.5 }));
  expect(await keepCosts({ ...measured, rounds }, data)).toBe(
    "too few quiet rounds to keep the speed without a draft for the guard of a server",
  );
  expect(await read()).toBeUndefined();
});

test("a folder that cannot be written costs no result", async () => {
  mkdirSync(join(data, "bench"), { mode: 0o700 });
  writeFileSync(join(data, "bench", "costs"), "");
  expect(await keepCosts(measured, data)).toMatch(
    /^the speed without a draft could not be kept for the guard of a server: E[A-Z]+$/,
  );
});
