import { relative } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import { urlModelFolder } from "../../../../src/hub/find/find-model.ts";
import { listUrlFiles } from "../../../../src/hub/find/url-files.ts";
import { checkProfiles } from "../../../../src/llama/plan/check-profile.ts";
import type { Finding } from "../../../../src/llama/plan/finding.ts";
import { planLaunch } from "../../../../src/llama/plan/plan-launch.ts";
import type { Profile } from "../../../../src/profiles/schema/schema.ts";
import { FakeSession } from "../../../support/fake-session.ts";
import { makeProfile } from "../../../support/llama-help.ts";

let session: FakeSession;
beforeEach(() => {
  session = new FakeSession({ LLAMA_ARG_SEED: "7" });
});
afterEach(() => session[Symbol.dispose]());

function plan(profile: Profile, lacking: "refuse" | "mark") {
  return planLaunch(profile, { paths: session.paths, env: session.env, session, lacking });
}

async function check(profile: Profile): Promise<readonly Finding[]> {
  const [result] = await checkProfiles([profile], session);
  return result?.findings ?? [];
}

async function failureOf(planning: Promise<unknown>): Promise<LlmctlError> {
  try {
    await planning;
  } catch (error) {
    if (error instanceof LlmctlError) return error;
    throw error;
  }
  throw new Error("the plan did not fail");
}

/** An error as `check` tells it. */
function found({ code, exit, problems }: LlmctlError): Finding[] {
  return problems.map((problem) => ({ rank: "error", code, exit, ...problem }));
}

const lora = { url: "https://example.org/lora.gguf" };

/** A profile with a reason for every warning and note that a plan has. */
function makeDoubtful(draftTokens: readonly string[]): Profile {
  session.configFiles = [{ path: "/etc/llama.cpp/config.ini", settings: ["threads", "seed"] }];
  session.build.put("llama-server", [
    { when: "--rpc 10.0.0.2:1", stdout: "Available devices:\n  RPC0: there (1 MiB, 1 MiB free)\n" },
  ]);
  const [file] = listUrlFiles(lora, { urlFolder: urlModelFolder(session.paths) });
  session.writeModel(relative(session.build.folder, file?.path ?? ""));
  return makeProfile({
    model: session.writeModel("target.gguf"),
    draft: { model: session.writeModel("draft.gguf", { "tokenizer.ggml.tokens": draftTokens }) },
    ctx_size: 4096,
    threads: 3,
    server: { host: "0.0.0.0" },
    rpc: { workers: ["10.0.0.2:1"], cache: true },
    lora: [lora],
  });
}

const tokens = Array.from({ length: 32 }, (_, id) => `token${id}`);

describe("up, plan and check give the same warnings and notes, in the same order", () => {
  const shared = [
    ["warning", "no-api-key", "p.yaml:server.host"],
    ["warning", "rpc-unprotected", "p.yaml:rpc.workers"],
    ["warning", "context-beyond-training", "p.yaml:ctx_size"],
    ["warning", "stray-flags", undefined],
    ["warning", "stray-flags", undefined],
    ["note", "no-digest", undefined],
  ];
  const ofCheckAlone = [
    ["note", "memory-unknown", "p.yaml:model"],
    ["note", "key-left-out", "p.yaml:rpc.cache"],
  ];

  test.each([
    ["where the draft does not fit", tokens.with(9, "other"), "drafting-off", /^drafting is off: token 9 differs/],
    ["where the draft fits badly", tokens.with(0, "other"), "draft-pair", /^token 0 differs/],
  ])("%s", async (_, draftTokens, code, message) => {
    const profile = makeDoubtful(draftTokens);
    const { findings } = await plan(profile, "refuse");
    const first = findings.filter((one) => one.code === code);
    expect(first[0]).toEqual({
      rank: "warning",
      code,
      message: expect.stringMatching(message),
      at: "p.yaml:draft.model",
    });
    expect(
      findings
        .slice(first.length)
        .filter((one) => one.code !== "draft-pair")
        .map(brief),
    ).toEqual(shared);
    expect((await plan(profile, "mark")).findings).toEqual(findings);
    const checked = await check(profile);
    expect(checked.slice(0, findings.length)).toEqual(findings);
    expect(checked.slice(findings.length).map(brief)).toEqual(ofCheckAlone);
  });
});

function brief({ rank, code, at }: Finding) {
  return [rank, code, at];
}

describe("an error that ends a start is an error of a check, with the same words", () => {
  const model = () => session.writeModel("target.gguf");
  const absent = new LlmctlError("build-missing", "no build", {
    exit: "missingFile",
    at: "p.yaml:llama",
    fix: "build",
  });
  const broken = { "tokenizer.ggml.tokens": tokens.with(9, "other") };
  const unfit = () => ({ model: session.writeModel("draft.gguf", broken), on_mismatch: "fail" });

  test.each<[string, () => Readonly<Record<string, unknown>>]>([
    ["env-refused", () => ({ model: model(), env: { LLAMA_ARG_PORT: "1", LLAMA_API_KEY: "k" } })],
    ["build-missing", () => ((session.buildFault = absent), { model: model() })],
    ["not-gguf", () => ({ model: session.write("target.gguf", "no model") })],
    ["draft-mismatch", () => ({ model: model(), draft: unfit() })],
    ["not-gguf", () => ({ model: model(), draft: { model: session.write("draft.gguf", "no model") } })],
    ["profile-unrenderable", () => ({ model: model(), args: ["--nope", "--port"] })],
    ["api-keys-unusable", () => ({ model: model(), server: { api_key_file: session.write("keys", "a \n\r\n") } })],
  ])("%s, which ends a plan as well", async (code, values) => {
    const profile = makeProfile(values());
    const error = await failureOf(plan(profile, "refuse"));
    expect(error.code).toBe(code);
    expect((await check(profile)).filter(({ rank }) => rank === "error")).toEqual(found(error));
    if (code === "api-keys-unusable") return; // what the binary would refuse is marked in the command
    expect(found(await failureOf(plan(profile, "mark")))).toEqual(found(error));
  });

  test.each<[string, () => Readonly<Record<string, unknown>>]>([
    ["target", () => ({ model: "/nowhere/target.gguf" })],
    ["draft", () => ({ model: model(), draft: { model: "/nowhere/draft.gguf" } })],
    ["adapter", () => ({ model: model(), lora: ["/nowhere/lora.gguf"] })],
    ["projector", () => ({ model: model(), mmproj: { hf: "o/r-GGUF", file: "mmproj.gguf" } })],
  ])("model-missing for a missing %s, which a plan only marks", async (_, values) => {
    const profile = makeProfile(values());
    const error = await failureOf(plan(profile, "refuse"));
    expect(error.code).toBe("model-missing");
    expect(await check(profile)).toEqual([...found(error), ...strays()]);
    expect((await plan(profile, "mark")).findings).toEqual([...found(error), ...strays()]);
  });

  test("flag-refused, which is a part of a plan", async () => {
    const stderr = 'error while handling argument "--threads": stoi\n';
    session.build.put("llama-server", [{ when: "--threads 3", stderr, exitCode: 1 }]);
    const profile = makeProfile({ model: model(), threads: 3 });
    const error = await failureOf(plan(profile, "refuse"));
    expect(error.code).toBe("flag-refused");
    const { refused } = await plan(profile, "mark");
    expect(refused.flatMap((one) => found(one.error))).toEqual(found(error));
    expect((await check(profile)).filter(({ rank }) => rank === "error")).toEqual(found(error));
  });

  test("the first of many is the one that ends a start, and a check has all in the order of the steps", async () => {
    session.buildFault = absent;
    const profile = makeProfile({
      model: "/nowhere/target.gguf",
      draft: { model: session.write("draft.gguf", "no model") },
      mmproj: "/nowhere/mmproj.gguf",
      lora: ["/nowhere/lora.gguf"],
      env: { LLAMA_ARG_PORT: "1" },
      server: { api_key_file: "/nowhere/keys" },
    });
    const codes = ["env-refused", "build-missing", "model-missing", "not-gguf", "model-missing", "model-missing"];
    const errors = (await check(profile)).filter(({ rank }) => rank === "error");
    expect(errors.map(({ code }) => code)).toEqual([...codes, "api-key-file-missing"]);
    expect(errors.map(({ at }) => at)).toEqual(
      ["env.LLAMA_ARG_PORT", "llama", "model", "draft.model", "mmproj", "lora.0", "server.api_key_file"].map((key) =>
        key === "llama" ? "p.yaml:llama" : `p.yaml:${key}`,
      ),
    );
    expect((await failureOf(plan(profile, "refuse"))).code).toBe("env-refused");
  });
});

/** The warning about the variable of this session. */
function strays(): Finding[] {
  const message =
    "the server does not inherit these flags from your environment: LLAMA_ARG_SEED; set keys or args instead";
  return [{ rank: "warning", code: "stray-flags", message }];
}
