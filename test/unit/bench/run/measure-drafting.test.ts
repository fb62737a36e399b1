import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import { explainDrafting, findReevaluation } from "../../../../src/bench/run/measure-drafting.ts";
import type { BenchContest } from "../../../../src/bench/servers/bench-contest.ts";
import { type BenchSetting, planSetting } from "../../../../src/bench/servers/plan-setting.ts";
import { AnsweringServer, events } from "../../../support/answering-server.ts";
import { FakeKeeper } from "../../../support/fake-contest.ts";
import { FakeSession } from "../../../support/fake-session.ts";
import { makeProfile } from "../../../support/llama-help.ts";

let session: FakeSession;
let server: AnsweringServer;
let accepted: readonly number[] | null;

beforeEach(async () => {
  session = new FakeSession({ PATH: "/bin", HOME: "/root" });
  accepted = null;
  server = await AnsweringServer.listen();
  server.answer = (response, { path }) => {
    if (path === "/props") return void response.end(JSON.stringify({ default_generation_settings: { n_ctx: 4096 } }));
    if (path === "/tokenize") return void response.end(JSON.stringify({ tokens: [1, 2, 3, 4, 5] }));
    // It computes other batches than it is asked for, as with a sliding window.
    const timings = { prompt_n: 300, prompt_ms: 30, predicted_n: 1, predicted_ms: 0 };
    response.end(events({ content: "a", stop: false }, { content: "", stop: true, stop_type: "limit", timings }));
  };
});
afterEach(async () => {
  session[Symbol.dispose]();
  await server[Symbol.asyncDispose]();
});

async function plan(draft: Readonly<Record<string, unknown>> | undefined): Promise<BenchSetting> {
  const profile = makeProfile({
    model: session.writeModel("target.gguf"),
    ...(draft === undefined ? {} : { draft }),
  });
  return planSetting(profile, profile.values.draft, { label: draft === undefined ? "none" : "profile", session });
}

const drafter = () => ({ model: session.writeModel("draft.gguf") });

async function measure(isRunning: boolean, keeper = new FakeKeeper()) {
  return (await explain(isRunning, { keeper })).measured;
}

/** @param failure What the start of a server ends with. */
async function explain(
  isRunning: boolean,
  {
    keeper = new FakeKeeper(),
    failure,
    signal = new AbortController().signal,
  }: { readonly keeper?: FakeKeeper; readonly failure?: Error; readonly signal?: AbortSignal },
) {
  const [plain, drafting] = [await plan(undefined), await plan(drafter())];
  const running = (setting: BenchSetting) => ({
    setting,
    server: { endpoint: server.endpoint },
    readAccepted: async () => accepted,
  });
  const contest = {
    find: () => (isRunning ? running(drafting) : undefined),
    server: async () => {
      if (failure !== undefined) throw failure;
      return running(plain);
    },
  } as unknown as BenchContest;
  return explainDrafting({
    plain,
    drafting,
    traced: undefined,
    contest,
    prompts: [],
    keeper,
    timing: "wall",
    session,
    signal,
  });
}

describe("why drafting is as fast as it is", () => {
  test("is told by the counters of the server that was measured", async () => {
    accepted = [0.9, 0.5, 0.25];
    expect(await measure(true)).toEqual({ acceptedByPosition: [0.9, 0.5, 0.25], costs: null, predicted: null });
  });

  test("is not known of a server that drafted nothing, or has ended", async () => {
    expect((await measure(true)).acceptedByPosition).toBeNull();
    accepted = [0.9];
    expect((await measure(false)).acceptedByPosition).toBeNull();
  });

  test("is kept, so that a run that goes on does not measure it again", async () => {
    accepted = [0.9];
    const keeper = new FakeKeeper();
    const first = await measure(true, keeper);
    accepted = null;
    const asked = server.asked.length;
    expect(await measure(true, keeper)).toEqual(first);
    expect(server.asked).toHaveLength(asked);
  });
});

describe("a comparison is a result also", () => {
  const nothing = { acceptedByPosition: null, costs: null, predicted: null };

  test("where no server can be started any more to explain it", async () => {
    const failure = new LlmctlError("bench-server-died", "out of memory", { exit: "failed" });
    const notes = ["what batches cost is not known: out of memory"];
    expect(await explain(true, { failure })).toEqual({ measured: nothing, notes });
  });

  test("where it was interrupted after the last round", async () => {
    const signal = AbortSignal.abort();
    const notes = ["what batches cost is not known: it was interrupted"];
    expect(await explain(true, { failure: signal.reason as Error, signal })).toEqual({ measured: nothing, notes });
  });

  test("but not where the fault is ours", async () => {
    await expect(explain(true, { failure: new TypeError("a bug") })).rejects.toThrow("a bug");
  });
});

test.each<[string, "v0.5.0" | "b8390", Readonly<Record<string, unknown>> | "model", boolean]>([
  ["a draft model of v0.5.0 evaluates", "v0.5.0", "model", true],
  ["a draft model of b8390 does not evaluate", "b8390", "model", false],
  ["n-grams of b8390 do not evaluate", "b8390", { type: "ngram-mod" }, false],
])("%s each checked batch again", async (_, build, draft, expected) => {
  session.server = build;
  expect(await findReevaluation(await plan(draft === "model" ? drafter() : draft), session)).toBe(expected);
});

test("a layer of the target does not evaluate a checked batch again", async () => {
  const setting = await plan(drafter());
  const { profile } = setting;
  const values = { ...profile.values, draft: { type: "draft-mtp", on_mismatch: "disable", on_loss: "warn" } as const };
  expect(await findReevaluation({ ...setting, profile: { ...profile, values } }, session)).toBe(false);
});
