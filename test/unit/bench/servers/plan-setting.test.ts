import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { forMeasurement, planSetting } from "../../../../src/bench/servers/plan-setting.ts";
import { draft as draftSchema } from "../../../../src/profiles/schema/schema-draft.ts";
import { FakeSession } from "../../../support/fake-session.ts";
import { makeProfile } from "../../../support/llama-help.ts";

let session: FakeSession;
beforeEach(() => {
  session = new FakeSession({ PATH: "/bin", HOME: "/root" });
});
afterEach(() => session[Symbol.dispose]());

describe("the profile of a measurement", () => {
  const profile = makeProfile({
    model: "/m.gguf",
    draft: { model: "/d.gguf", n_max: 5 },
    threads: 3,
    orphan: "keep",
    server: { host: "0.0.0.0", port: 8001, api_key_file: "/keys", metrics_port: 9000, threads_http: 2 },
  });

  test("listens on this machine alone, without keys, and ends with its measurement", () => {
    const { values } = forMeasurement(profile, profile.values.draft);
    expect(values.server).toEqual({ host: "127.0.0.1", port: "auto", metrics: true, threads_http: 2 });
    expect(values).toMatchObject({ orphan: "kill", threads: 3, model: "/m.gguf", draft: { n_max: 5 } });
    expect(profile.values.orphan).toBe("keep");
  });

  test("has another draft, or none", () => {
    const other = draftSchema.parse({ type: "ngram-mod" });
    expect(forMeasurement(profile, other).values.draft).toBe(other);
    expect(forMeasurement(profile, undefined).values).not.toHaveProperty("draft");
  });

  test("leaves the threads of the HTTP server to the build where the profile does", () => {
    const plain = makeProfile({ model: "/m.gguf", server: { port: 8001 } });
    expect(forMeasurement(plain, undefined).values.server).toEqual({ host: "127.0.0.1", port: "auto", metrics: true });
  });
});

describe("a planned setting", () => {
  async function plan(draft: Readonly<Record<string, unknown>> | undefined) {
    const profile = makeProfile({
      model: session.writeModel("target.gguf"),
      ...(draft === undefined ? {} : { draft }),
      server: { port: 8001 },
    });
    return planSetting(profile, profile.values.draft, { label: "one", session });
  }

  test("is a server of its own on a free port", async () => {
    const { label, launch, flags } = await plan(undefined);
    expect(label).toBe("one");
    expect(launch).toMatchObject({ host: "127.0.0.1", port: 0, orphan: "kill" });
    expect(launch.args).toContain("--metrics");
    expect(flags.flatMap(({ args }) => args)).toEqual(launch.args);
  });

  test("has the same key of costs with a draft and without one", async () => {
    const without = await plan(undefined);
    const drafting = await plan({ model: session.writeModel("draft.gguf") });
    expect(without.costKeys?.target).toEqual(expect.any(String));
    expect(drafting.costKeys?.target).toBe(without.costKeys?.target);
    expect([without.costKeys?.draft, typeof drafting.costKeys?.draft]).toEqual([null, "string"]);
  });

  test.each<[string, "v0.5.0" | "b8390", string, boolean]>([
    ["a draft model of a new build forgets", "v0.5.0", "model", false],
    ["a draft model of b8390 remembers", "b8390", "model", true],
    ["n-grams remember", "v0.5.0", "ngram-mod", true],
    ["n-grams of b8390 remember", "b8390", "ngram-mod", true],
    ["no draft on b8390 forgets", "b8390", "none", false],
  ])("%s what was asked before", async (_, build, source, remembers) => {
    session.server = build;
    const drafts = { model: { model: session.writeModel("draft.gguf") }, none: undefined }[source];
    const planned = await plan(source === "ngram-mod" ? { type: source } : drafts);
    expect(planned.remembers).toBe(remembers);
  });
});
