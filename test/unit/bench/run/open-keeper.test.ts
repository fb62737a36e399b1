import { appendFileSync, rmSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type KeeperOptions, openKeeper } from "../../../../src/bench/run/open-keeper.ts";
import { planSetting } from "../../../../src/bench/servers/plan-setting.ts";
import { FakeSession } from "../../../support/fake-session.ts";
import { makeProfile } from "../../../support/llama-help.ts";
import { makeRound } from "../../../support/make-rounds.ts";

let session: FakeSession;
let options: KeeperOptions;
let model: string;

beforeEach(async () => {
  session = new FakeSession({ PATH: "/bin", HOME: "/root" });
  model = session.writeModel("target.gguf");
  options = await withThreads(1);
});
afterEach(() => session[Symbol.dispose]());

async function withThreads(threads: number, env: Readonly<Record<string, string>> = {}): Promise<KeeperOptions> {
  const profile = makeProfile({ model, threads, env });
  const setting = await planSetting(profile, undefined, { label: "none", session });
  const settings = [setting] as const;
  return { purpose: "bench", settings, session, promptIds: ["p"], concurrency: 1, timing: "wall", maxTokens: 256 };
}

async function keepRound(): Promise<void> {
  await using journal = await openKeeper(options);
  await journal.add(makeRound("p", {}));
}

async function countRounds(asked: KeeperOptions): Promise<number> {
  await using journal = await openKeeper(asked);
  return journal.rounds.length;
}

test("a measurement of the same goes on with what was measured before", async () => {
  await keepRound();
  expect(await countRounds(await withThreads(1))).toBe(1);
});

test.each<[string, Partial<KeeperOptions>]>([
  ["another purpose", { purpose: "tune" }],
  ["other prompts", { promptIds: ["q"] }],
  ["another concurrency", { concurrency: 2 }],
  ["another clock", { timing: "cpu" }],
  ["another limit of tokens", { maxTokens: 16 }],
])("%s begins anew", async (_, changes) => {
  await keepRound();
  expect(await countRounds({ ...options, ...changes })).toBe(0);
});

test("another command begins anew, and so do other files and other devices", async () => {
  await keepRound();
  expect(await countRounds(await withThreads(2))).toBe(0);
  session.devices = [{ name: "CUDA0", description: "a GPU", totalMib: 8000, freeMib: 7000 }];
  expect(await countRounds(options)).toBe(0);
  session.devices = [];
  expect(await countRounds(options)).toBe(1);
  appendFileSync(model, "more");
  expect(await countRounds(options)).toBe(0);
});

test("other variables of the profile begin anew", async () => {
  await keepRound();
  const env = { GGML_CUDA_FORCE_MMQ: "1" };
  expect(await countRounds(await withThreads(1, env))).toBe(0);
  expect(await countRounds(await withThreads(1))).toBe(1);
});

test("a file that is gone is named", async () => {
  rmSync(model);
  await expect(openKeeper(options)).rejects.toMatchObject({ code: "file-gone", at: model });
});
