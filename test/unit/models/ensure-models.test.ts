import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { findPaths, type Paths } from "../../../src/base/files/paths.ts";
import { modelLockFolder, readModelLock } from "../../../src/hub/find/model-lock.ts";
import { ensureModels, type EnsureModelsOptions } from "../../../src/models/ensure-models.ts";
import type { ModelEvent } from "../../../src/models/model-event.ts";
import { loadProfile } from "../../../src/profiles/load.ts";
import type { Profile } from "../../../src/profiles/schema/schema.ts";
import { sha256 } from "../../support/hub-server.ts";
import { putPythonCache } from "../../support/python-cache.ts";

const hf = "unsloth/Tiny-GGUF";
const commit = "c0ffee".padEnd(40, "0");
const content = Buffer.alloc(3000, "llama");

let dir: string;
let paths: Paths;
let events: ModelEvent[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "llmctl-ensure-"));
  paths = findPaths({ HOME: dir, LLMCTL_HOME: join(dir, "llmctl") }, 1000);
  events = [];
});

afterEach(async () => {
  await rm(dir, { recursive: true, force: true });
});

async function parse(values: object): Promise<Profile> {
  const path = join(dir, "p.yaml");
  return loadProfile(path, { folders: [], env: {}, cwd: dir, instead: { path, text: JSON.stringify(values) } });
}

async function ensure(profile: Profile, options: Partial<EnsureModelsOptions> = {}): Promise<void> {
  const offline = { HF_HUB_OFFLINE: "1" };
  const { signal } = new AbortController();
  const onEvent = (event: ModelEvent) => void events.push(event);
  await ensureModels(profile, { paths, env: offline, fetch: false, verify: true, signal, onEvent, ...options });
}

describe("a profile of plain paths", () => {
  test("needs no valid settings of the Hub", async () => {
    const profile = await parse({ model: join(dir, "absent.gguf"), mmproj: join(dir, "absent-mmproj.gguf") });
    await ensure(profile, { fetch: true, env: { HF_ENDPOINT: "no address" } });
    expect(events).toEqual([]);
  });
});

describe("models that another program has fetched", () => {
  const values = { model: { hf, quant: "Q8_0" } };
  const fetched = () => putPythonCache(paths.hub, hf, commit, [{ name: "Tiny-Q8_0.gguf", content }]);

  test("are read once, with reports in order, and are locked to their commit", async () => {
    const [path] = await fetched();
    const profile = await parse(values);
    await ensure(profile);
    const progress = { kind: "verify", model: path, file: path, sizeBytes: content.length };
    expect(events[0]).toEqual({
      kind: "verify-plan",
      files: [{ path, sizeBytes: content.length, digest: sha256(content), profile: "p" }],
    });
    expect(events[1]).toEqual({ ...progress, doneBytes: 0 });
    expect(events.at(-1)).toEqual({ ...progress, doneBytes: content.length });
    expect(await readModelLock(modelLockFolder(paths.state), { hf, quant: "Q8_0" })).toMatchObject({ commit });
    events = [];
    await ensure(profile, { fetch: true });
    expect(events).toEqual([]);
  });

  test("are not read without verify", async () => {
    await fetched();
    await ensure(await parse(values), { verify: false });
    expect(events).toEqual([]);
  });

  test("are reported and not locked when they are damaged", async () => {
    const [path = ""] = await fetched();
    await writeFile(path, Buffer.alloc(content.length, "other"));
    await expect(ensure(await parse(values))).rejects.toMatchObject({ code: "model-damaged" });
    expect(await readModelLock(modelLockFolder(paths.state), { hf, quant: "Q8_0" })).toBeUndefined();
  });

  test("are read by the next start when the reading is interrupted", async () => {
    await fetched();
    await expect(ensure(await parse(values), { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "interrupted",
      message: "verifying the models was interrupted",
    });
  });

  test("that were changed after they were locked count as missing", async () => {
    const [path = ""] = await fetched();
    const profile = await parse(values);
    await ensure(profile);
    await truncate(path, 100);
    await expect(ensure(profile, { fetch: true })).rejects.toMatchObject({ code: "hub-offline" });
  });
});

describe("a missing model", () => {
  test("is left for the start to report when fetching is off", async () => {
    await ensure(await parse({ model: { hf, quant: "Q8_0" } }));
    expect(events).toEqual([]);
  });

  test("is an error without network, and no progress is shown", async () => {
    const writes = [vi.spyOn(process.stderr, "write"), vi.spyOn(process.stdout, "write")];
    const profile = await parse({ model: { hf, quant: "Q8_0" } });
    await expect(ensure(profile, { fetch: true })).rejects.toMatchObject({ code: "hub-offline" });
    for (const write of writes) {
      expect(write).not.toHaveBeenCalled();
      write.mockRestore();
    }
    expect(events).toEqual([]);
  });
});

test("a worker has no models", async () => {
  await ensure(await parse({ kind: "rpc-worker", server: { port: 50052 } }), { fetch: true });
  expect(events).toEqual([]);
});
