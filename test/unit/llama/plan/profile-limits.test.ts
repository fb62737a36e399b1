import { describe, expect, test } from "vitest";
import { findExceededLimits } from "../../../../src/llama/plan/profile-limits.ts";
import { modelFrom, modelKeys } from "../../../support/gguf-builder.ts";
import { makeProfile } from "../../../support/llama-help.ts";

/** Trained for 512 tokens. */
const target = await modelFrom({ metadata: modelKeys() });
const none = { mayAll: false, fifo: 0, niceness: 20 };

function limitsOf(values: Readonly<Record<string, unknown>>, args: readonly string[] = [], rights = none) {
  const flags = [{ key: "args", path: ["args"], args }];
  return findExceededLimits(makeProfile(values), { target, flags, readRights: () => rights });
}

describe("a context beyond what the model was trained for", () => {
  test("is told with the largest useful value", () => {
    expect(limitsOf({ ctx_size: 513 })).toEqual([
      {
        code: "context-beyond-training",
        message:
          "ctx_size is 513, but the model was trained for 512 tokens: llama.cpp gives a request no more than that",
        at: "p.yaml:ctx_size",
        fix: "set ctx_size: 512, or stretch the context with the rope flags that the model's makers name",
      },
    ]);
    expect(limitsOf({ ctx_size: 1025, parallel: 2 })).toMatchObject([
      {
        message:
          "ctx_size is 1025, but the model was trained for 512 tokens: " +
          "llama.cpp gives a request no more than that for each of 2 slots",
        fix: expect.stringContaining("set ctx_size: 1024,") as string,
      },
    ]);
  });

  test.each([{}, { ctx_size: 0 }, { ctx_size: 512 }, { ctx_size: 1024, parallel: 2 }])("%j is not", (values) => {
    expect(limitsOf(values)).toEqual([]);
  });

  test.each(["--rope-scaling", "--yarn-ext-factor", "--override-kv"])("is what %s is for", (flag) => {
    expect(limitsOf({ ctx_size: 513 }, [flag, "1"])).toEqual([]);
    expect(limitsOf({ ctx_size: 513 }, ["--alias", flag])).toHaveLength(1);
  });

  test("is not known without the model, or where the model does not say its length", async () => {
    const { "llama.context_length": _length, ...metadata } = modelKeys();
    const silent = await modelFrom({ metadata });
    for (const model of [undefined, silent])
      expect(findExceededLimits(makeProfile({ ctx_size: 513 }), { target: model, flags: [] })).toEqual([]);
  });
});

describe("a priority", () => {
  test("without the permission for it is told at its place", () => {
    expect(limitsOf({ priority: "high" })).toEqual([
      {
        code: "priority-not-permitted",
        message: expect.stringMatching(/^this user has no permission .* "high"/) as string,
        at: "p.yaml:priority",
        fix: expect.stringContaining("LimitRTPRIO=80") as string,
      },
    ]);
  });

  test("with the permission, or that needs none, is not", () => {
    expect(limitsOf({ priority: "high" }, [], { ...none, mayAll: true })).toEqual([]);
    expect(limitsOf({ priority: "low" })).toEqual([]);
    expect(limitsOf({})).toEqual([]);
  });

  test("is not judged on a system that does not tell its limits", () => {
    const profile = makeProfile({ priority: "high" });
    expect(findExceededLimits(profile, { target, flags: [], readRights: () => undefined })).toEqual([]);
  });
});
