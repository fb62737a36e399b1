import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type CandidateOptions, listCandidates } from "../../../../src/bench/tune/list-candidates.ts";
import type { HubAccess } from "../../../../src/hub/http/hub-access.ts";
import { FakeSession } from "../../../support/fake-session.ts";
import { makeProfile } from "../../../support/llama-help.ts";

let session: FakeSession;
beforeEach(() => {
  session = new FakeSession({ PATH: "/bin", HOME: "/root" });
});
afterEach(() => session[Symbol.dispose]());

/** Nothing here is on a server. */
const access = {} as HubAccess;

async function list(values: Readonly<Record<string, unknown>> = {}, options: Partial<CandidateOptions> = {}) {
  const profile = makeProfile({ model: session.writeModel("target.gguf"), ...values });
  const { left, rejected } = await listCandidates(profile, {
    session,
    drafts: [],
    access,
    env: {},
    reevaluates: true,
    ...options,
  });
  return { left, rejected, labels: left.map(({ label }) => label) };
}

const ngrams = ["ngram-simple", "ngram-map-k", "ngram-map-k4v", "ngram-mod", "ngram-cache"];

describe("the candidates", () => {
  test("are the build's n-gram types where the profile has no draft and the target no layer for it", async () => {
    const { labels, rejected, left } = await list();
    expect(labels).toEqual(ngrams);
    expect(left[0]).toMatchObject({ source: "ngram", draft: { type: "ngram-simple" }, bestPossible: null });
    expect(rejected.map(({ label }) => label)).toEqual(["draft-mtp"]);
    expect(rejected[0]?.thrownOut).not.toBe("");
  });

  test("begin with the profile's own draft, without its numbers and with its other keys", async () => {
    const model = session.writeModel("draft.gguf");
    const { left, rejected } = await list({ draft: { model, n_max: 9, p_min: 0.5, on_mismatch: "fail" } });
    const own = [...left, ...rejected].find(({ label }) => label === "draft-simple");
    expect(own).toMatchObject({ source: "model", draft: { type: "draft-simple", model, on_mismatch: "fail" } });
    expect(own?.draft).not.toHaveProperty("n_max");
    expect(own?.draft).not.toHaveProperty("p_min");
  });

  test("name the model where there are several", async () => {
    const [model, other] = [session.writeModel("draft.gguf"), session.writeModel("draft-other.gguf")];
    const { left, rejected } = await list({ draft: { model } }, { drafts: [other] });
    const labels = [...left, ...rejected].map(({ label }) => label).filter((label) => label.includes(" with "));
    expect(labels).toEqual(["draft-simple with draft.gguf", "draft-simple with draft-other.gguf"]);
  });

  test("without a file are rejected with the reason, and the others stay", async () => {
    const { labels, rejected } = await list({}, { drafts: ["/nowhere/draft.gguf"] });
    expect(labels).toEqual(ngrams);
    expect(rejected[0]).toMatchObject({ label: "draft-simple", bestPossible: null, isUnjudged: true });
    expect(rejected[0]?.thrownOut).toContain("/nowhere/draft.gguf");
  });

  test("have the devices that a server of the profile sees", async () => {
    const asked: unknown[] = [];
    session.listDevices = async (_server?: string, env?: unknown) => {
      asked.push(env);
      return [];
    };
    const env = { CUDA_VISIBLE_DEVICES: "1" };
    await list({}, { env });
    expect(asked).toEqual([env]);
  });

  test("that are as large as the target cannot win, and the bound is told", async () => {
    const { rejected } = await list({}, { drafts: [session.writeModel("large.gguf")] });
    const large = rejected.find(({ label }) => label === "draft-simple");
    expect(large?.bestPossible).toBeLessThan(1.02);
    expect(large?.thrownOut).toMatch(/^even at 95 % acceptance it could reach 0\.\d\d ×$/);
  });
});
