import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { findPaths, type Paths } from "../../../src/base/files/paths.ts";
import { modelLockFolder, readModelLock } from "../../../src/hub/find/model-lock.ts";
import { readHubSettings } from "../../../src/hub/http/hub-settings.ts";
import { ensureModels } from "../../../src/models/ensure-models.ts";
import { judgePair, judgeProfile } from "../../../src/models/judge-pair.ts";
import type { ModelEvent } from "../../../src/models/model-event.ts";
import { listOutdated } from "../../../src/models/outdated-models.ts";
import { planModels } from "../../../src/models/plan-models.ts";
import { noteMissingDigests, pullModels } from "../../../src/models/pull-models.ts";
import { isKnownUnfit } from "../../../src/models/unfit-drafts.ts";
import type { Profile } from "../../../src/profiles/schema/schema.ts";
import { FakeBuild } from "../../support/fake-build.ts";
import { buildGguf, modelKeys } from "../../support/gguf-builder.ts";
import { type HubServer, sha256, startHubServer } from "../../support/hub-server.ts";
import { makeProfile, oldHelp } from "../../support/llama-help.ts";

const tokens = Array.from({ length: 32 }, (_, id) => `token${id}`);
const model = (width: number, ownTokens: readonly string[] = tokens) =>
  buildGguf({
    metadata: modelKeys({ "tokenizer.ggml.tokens": ownTokens }),
    tensors: [{ name: "token_embd.weight", ne: [width, 32] }],
  });
const target = model(64);
const draft = model(32);
const unfitDraft = model(32, tokens.with(9, "other"));
const unfitReason = 'token 9 differs: target "token9", draft "other"';

const targetRef = { hf: "o/Target-GGUF", quant: "Q8_0" };
const draftRef = { hf: "o/Draft-GGUF", quant: "Q8_0" };
const unfitRef = { hf: "o/Unfit-GGUF", quant: "Q8_0" };
const projectorRef = { hf: "o/Mm-GGUF", file: "mmproj.gguf" };
const commit = (digit: string) => digit.repeat(40);

let hub: HubServer;
let dir: string;
let paths: Paths;
let env: NodeJS.ProcessEnv;
let events: ModelEvent[];

beforeAll(async () => {
  hub = await startHubServer();
});
afterAll(() => hub.close());
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "llmctl-pull-"));
  paths = findPaths({ HOME: dir, LLMCTL_HOME: join(dir, "llmctl") }, 1000);
  env = { HF_ENDPOINT: hub.url };
  events = [];
  hub.requests.length = 0;
  hub.repos.clear();
  hub.repos.set("o/Target-GGUF", { commit: commit("a"), files: { "Target-Q8_0.gguf": { content: target } } });
  hub.repos.set("o/Draft-GGUF", { commit: commit("b"), files: { "Draft-Q8_0.gguf": { content: draft } } });
  hub.repos.set("o/Unfit-GGUF", { commit: commit("c"), files: { "Unfit-Q8_0.gguf": { content: unfitDraft } } });
});
afterEach(() => rm(dir, { recursive: true }));

const options = () => ({
  paths,
  env,
  hub: readHubSettings(env),
  signal: new AbortController().signal,
  onEvent: (event: ModelEvent) => void events.push(event),
});
const pull = (...profiles: readonly Profile[]) => pullModels(profiles, { ...options(), verify: true });
const ensure = (profile: Profile) => ensureModels(profile, { ...options(), fetch: true, verify: true });
const lockOf = (ref: typeof targetRef) => readModelLock(modelLockFolder(paths.state), ref);
const pathOf = (ref: typeof targetRef, digit: string, name: string) =>
  join(paths.hub, `models--${ref.hf.replace("/", "--")}`, "snapshots", commit(digit), name);

const fitting = makeProfile({ model: targetRef, draft: { model: draftRef } });
const unfitting = makeProfile({ model: targetRef, draft: { model: unfitRef } });

describe("a pull", () => {
  test("fetches what is missing, locks it to its commits, and has nothing to do the second time", async () => {
    const { fulfilled, unfit } = await pull(fitting);
    expect(unfit).toEqual([]);
    expect(fulfilled).toMatchObject([
      { ref: targetRef, label: '"o/Target-GGUF" (Q8_0)', wasFetched: true, find: { profile: "p", at: "p.yaml:model" } },
      { ref: draftRef, label: '"o/Draft-GGUF" (Q8_0)', wasFetched: true, find: { at: "p.yaml:draft.model" } },
    ]);
    expect(fulfilled.map(({ files }) => files.shards)).toEqual([
      [{ path: pathOf(targetRef, "a", "Target-Q8_0.gguf"), sizeBytes: target.length }],
      [{ path: pathOf(draftRef, "b", "Draft-Q8_0.gguf"), sizeBytes: draft.length }],
    ]);
    expect(events[0]).toMatchObject({
      kind: "fetch-plan",
      plans: [
        { model: '"o/Target-GGUF" (Q8_0)', plan: { kind: "fetch", missingBytes: target.length } },
        { model: '"o/Draft-GGUF" (Q8_0)', plan: { kind: "fetch", missingBytes: draft.length } },
      ],
    });
    expect(events.filter(({ kind }) => kind.endsWith("plan"))).toHaveLength(1);
    const files = (name: string, content: Buffer) => [
      { name, sizeBytes: content.length, digest: sha256(content), version: undefined },
    ];
    expect(await lockOf(targetRef)).toEqual({ commit: commit("a"), files: files("Target-Q8_0.gguf", target) });
    expect(await lockOf(draftRef)).toEqual({ commit: commit("b"), files: files("Draft-Q8_0.gguf", draft) });

    events = [];
    hub.requests.length = 0;
    const again = await pull(fitting);
    expect(again.fulfilled.map(({ wasFetched }) => wasFetched)).toEqual([false, false]);
    expect([events, hub.fetched()]).toEqual([[], []]);
  });

  test("leaves out a draft that cannot speed up its target, and says why", async () => {
    const { fulfilled, unfit } = await pull(unfitting);
    expect(fulfilled.map(({ ref }) => ref)).toEqual([targetRef]);
    expect(unfit).toEqual([
      { profile: unfitting, ref: unfitRef, reason: unfitReason, rule: "strict", sizeBytes: unfitDraft.length },
    ]);
    expect(hub.fetched()).toEqual(["bytes=0-131071", "bytes=0-131071", "whole"]);
    expect(existsSync(join(paths.hub, "models--o--Unfit-GGUF"))).toBe(false);
    expect(await isKnownUnfit(unfitting, { paths, env })).toBe(true);
  });

  test("fetches a draft that is unfit for one profile and fits another", async () => {
    hub.repos.set("o/Other-GGUF", {
      commit: commit("d"),
      files: { "Other-Q8_0.gguf": { content: model(64, tokens.with(9, "other")) } },
    });
    const other = {
      ...makeProfile({ model: { ...targetRef, hf: "o/Other-GGUF" }, draft: { model: unfitRef } }),
      name: "q",
    };
    const { fulfilled, unfit } = await pull(unfitting, other);
    expect(fulfilled.map(({ ref }) => ref)).toEqual([targetRef, unfitRef, other.values.model]);
    expect(unfit.map(({ profile }) => profile.name)).toEqual(["p"]);
  });

  test("ends before the first byte for a profile that wants no server without its draft", async () => {
    const strict = makeProfile({ model: targetRef, draft: { model: unfitRef, on_mismatch: "fail" } });
    await expect(pull(strict)).rejects.toMatchObject({ code: "draft-mismatch", at: "p.yaml:draft.model" });
    expect(existsSync(join(paths.hub, "models--o--Target-GGUF", "snapshots"))).toBe(false);
  });

  test("keeps an unfit draft that is on disk already: it costs nothing more", async () => {
    await pull(makeProfile({ model: unfitRef }));
    const { fulfilled, unfit } = await pull(unfitting);
    expect([fulfilled.map(({ ref }) => ref), unfit]).toEqual([[targetRef, unfitRef], []]);
  });

  test("does not lock a reference that names another commit", async () => {
    const named = { ...targetRef, revision: commit("a") };
    await pull(makeProfile({ model: named }));
    expect(await readModelLock(modelLockFolder(paths.state), named)).toMatchObject({ commit: commit("a") });
  });
});

describe("the requests of profiles", () => {
  const plan = (...profiles: readonly Profile[]) => planModels(profiles, options());

  test("name each model once; a plain path of an adapter is left to the start", async () => {
    const file = join(dir, "own.gguf");
    writeFileSync(file, target);
    const profiles = [
      makeProfile({ model: file, lora: ["/nowhere/lora.gguf"], mmproj: projectorRef }),
      makeProfile({ model: file, draft: { model: draftRef } }),
      makeProfile({ model: targetRef, draft: { model: draftRef } }),
      makeProfile({ model: targetRef, model_dirs: [dir] }),
    ];
    hub.repos.set("o/Mm-GGUF", { commit: commit("e"), files: { "mmproj.gguf": { content: target } } });
    const { requests } = await plan(...profiles);
    expect(requests.map(({ label, find, plan: { kind } }) => [label, find.at, kind])).toEqual([
      [`"${file}"`, "p.yaml:model", "complete"],
      ['"o/Mm-GGUF" (mmproj.gguf)', "p.yaml:mmproj", "fetch"],
      ['"o/Draft-GGUF" (Q8_0)', "p.yaml:draft.model", "fetch"],
      ['"o/Target-GGUF" (Q8_0)', "p.yaml:model", "fetch"],
      ['"o/Target-GGUF" (Q8_0)', "p.yaml:model", "fetch"],
    ]);
  });

  test("have one place for an address, whatever folders the profiles name", async () => {
    hub.plain.set("/m.gguf", { content: target });
    const ref = { url: `${hub.url}/m.gguf` };
    const { requests } = await plan(makeProfile({ model: ref }), makeProfile({ model: ref, model_dirs: [dir] }));
    expect(requests).toHaveLength(1);
  });

  test("are refused for a worker, which has no model", async () => {
    const worker = makeProfile({ kind: "rpc-worker", model: undefined, server: { port: 1 } });
    await expect(plan(worker)).rejects.toMatchObject({ code: "not-a-server", exit: "usage" });
  });
});

describe("before a start", () => {
  test("a draft that is left out is reported, and not asked for again", async () => {
    using build = new FakeBuild([
      { when: "--help", stdout: oldHelp },
      { when: "--version", stderr: "version: 1 (abc)" },
    ]);
    const profile = makeProfile({ ...unfitting.values, llama: { binary: build.server } });
    await ensure(profile);
    expect(events.at(-1)).toEqual({
      kind: "not-fetched",
      model: '"o/Unfit-GGUF" (Q8_0)',
      profile: "p",
      reason: unfitReason,
      sizeBytes: unfitDraft.length,
    });
    hub.requests.length = 0;
    events = [];
    await ensure(profile);
    expect([hub.requests, events]).toEqual([[], []]);
  });

  test("what would keep the server from starting is told before a download", async () => {
    using build = new FakeBuild([
      { when: "--help", stdout: oldHelp },
      { when: "--threads 3", stderr: 'error while handling argument "--threads": stoi\n', exitCode: 1 },
      { when: "--version", stderr: "version: 1 (abc)" },
    ]);
    const profile = makeProfile({ model: targetRef, threads: 3, llama: { binary: build.server } });
    await expect(ensure(profile)).rejects.toMatchObject({ code: "flag-refused", at: "p.yaml:threads" });
    expect(hub.fetched()).toEqual([]);
    await expect(ensure(makeProfile({ model: targetRef }))).rejects.toMatchObject({ code: "build-missing" });
    expect(hub.fetched()).toEqual([]);
  });
});

test("a note that a draft was left out says nothing about another pair", async () => {
  await pull(unfitting);
  const others: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
    "another drafting type": { draft: { model: unfitRef, type: "draft-eagle3" } },
    "a profile that wants no server without it": { draft: { model: unfitRef, on_mismatch: "fail" } },
    "another draft": { draft: { model: draftRef } },
    "a target that is not here": { model: draftRef },
    "no draft model": { draft: { type: "ngram-simple" } },
    "no draft": { draft: undefined },
    "a draft at a plain path": { draft: { model: "/d.gguf" } },
  };
  for (const [other, values] of Object.entries(others)) {
    const profile = makeProfile({ ...unfitting.values, ...values });
    expect(await isKnownUnfit(profile, { paths, env }), other).toBe(false);
  }
  const own = makeProfile({ ...unfitting.values, model: pathOf(targetRef, "a", "Target-Q8_0.gguf") });
  expect(await isKnownUnfit(own, { paths, env }), "the same target by its path").toBe(true);
});

describe("newer files", () => {
  const outdated = (...profiles: readonly Profile[]) => listOutdated(profiles, options());
  const publish = (digit: string, content: Buffer, more: Record<string, { content: Buffer }> = {}) =>
    hub.repos.set("o/Target-GGUF", { commit: commit(digit), files: { "Target-Q8_0.gguf": { content }, ...more } });

  test("of a model are told with both commits and what is missing", async () => {
    await pull(fitting);
    publish("f", model(128));
    const second = { ...fitting, name: "q" };
    expect(await outdated(fitting, second)).toEqual([
      {
        model: '"o/Target-GGUF" (Q8_0)',
        profiles: ["p", "q"],
        commit: commit("a"),
        newest: commit("f"),
        missingBytes: model(128).length,
      },
    ]);
  });

  test("are none where a commit changes only other files, and for a model that is not here", async () => {
    await pull(makeProfile({ model: targetRef }));
    publish("f", target, { "README.md": { content: Buffer.from("new") } });
    expect(await outdated(fitting)).toEqual([]);
  });

  test("of an address have no commits", async () => {
    hub.plain.set("/m.gguf", { content: target });
    const profile = makeProfile({ model: { url: `${hub.url}/m.gguf` } });
    await pull(profile);
    expect(await noteMissingDigests([profile, fitting], { paths })).toEqual([
      expect.stringContaining(`what came has sha256 ${sha256(target)}`),
    ]);
    expect(await outdated(profile)).toEqual([]);
    hub.plain.set("/m.gguf", { content: model(128) });
    expect(await outdated(profile)).toEqual([
      { model: `"${hub.url}/m.gguf"`, profiles: ["p"], commit: null, newest: null, missingBytes: model(128).length },
    ]);
  });
});

describe("a judgement by headers alone", () => {
  const access = () => ({ hub: options().hub, signal: options().signal, onProgress: () => undefined });
  const build = { rule: "strict", build: undefined, problem: "no build of llama.cpp is installed" };

  test("of a profile's pair on the Hub", async () => {
    const judgement = await judgeProfile(unfitting, access(), { paths, env });
    expect(judgement).toMatchObject({
      type: "draft-simple",
      build,
      verdict: { verdict: "off", reason: unfitReason },
    });
    expect(judgement?.target.model.header.metadata.get("general.name")).toMatchObject({ value: "small" });
    expect((await judgeProfile(fitting, access(), { paths, env }))?.verdict.verdict).toBe("on");
    expect(hub.fetched()).not.toContain("whole");
  });

  test("of a profile without a draft, or without a draft model", async () => {
    expect(await judgeProfile(makeProfile({ model: targetRef }), access(), { paths, env })).toBeUndefined();
    const ngram = makeProfile({ model: targetRef, draft: { type: "ngram-simple" } });
    const judgement = await judgeProfile(ngram, access(), { paths, env });
    expect([judgement?.draft, judgement?.verdict.verdict]).toEqual([undefined, "on"]);
  });

  test("of any two models", async () => {
    mkdirSync(join(dir, "own"));
    const [own, other] = [join(dir, "own/target.gguf"), join(dir, "own/draft.gguf")];
    writeFileSync(own, target);
    writeFileSync(other, unfitDraft);
    const find = { hubCache: paths.hub, modelDirs: [], profile: undefined };
    const pair = { target: own, draft: other, type: "draft-simple" };
    expect(await judgePair(pair, { ...access(), ...find }, { paths, env })).toMatchObject({
      type: "draft-simple",
      build,
      verdict: { verdict: "off", reason: unfitReason },
    });
  });
});
