import { afterEach, beforeEach, expect, test } from "vitest";
import { findPaths } from "../../src/base/files/paths.ts";
import { ensureModels } from "../../src/models/ensure-models.ts";
import type { ModelEvent } from "../../src/models/model-event.ts";
import { loadProfile } from "../../src/profiles/load.ts";
import { buildGguf, modelKeys } from "../support/gguf-builder.ts";
import { startHubServer, type HubServer } from "../support/hub-server.ts";
import { fakeLlamaServer, TempHome } from "../support/temp-home.ts";

const hf = "unsloth/Tiny-GGUF";
const tensors = [{ name: "token_embd.weight", ne: [256, 512] }];
const tokens = Array.from({ length: 32 }, (_, id) => `token${id}`);
const target = buildGguf({ metadata: modelKeys(), tensors });
const stranger = buildGguf({ metadata: modelKeys({ "tokenizer.ggml.tokens": tokens.with(7, "another") }), tensors });

let server: HubServer;
let home: TempHome;

beforeEach(async () => {
  server = await startHubServer();
  home = await TempHome.create();
  const files = { "Tiny-Q8_0.gguf": { content: target }, "Stranger-Q2_K.gguf": { content: stranger } };
  server.repos.set(hf, { commit: "c0ffee".padEnd(40, "0"), files });
});

afterEach(async () => {
  await server.close();
  await home[Symbol.asyncDispose]();
});

async function ensure(values: Readonly<Record<string, unknown>>): Promise<ModelEvent[]> {
  const env = { PATH: process.env["PATH"], HOME: home.path, LLMCTL_HOME: home.path, HF_ENDPOINT: server.url };
  const path = await home.writeProfile("p", { model: { hf, quant: "Q8_0" }, ...values });
  const events: ModelEvent[] = [];
  await ensureModels(await loadProfile(path, { folders: [], env }), {
    paths: findPaths(env),
    env,
    fetch: true,
    verify: true,
    signal: new AbortController().signal,
    onEvent: (event) => void events.push(event),
  });
  return events;
}

test("reports the files to fetch, the progress, and at the end the draft that is left out", async () => {
  const draft = { model: { hf, quant: "Q2_K" } };
  const events = await ensure({ draft, llama: { binary: fakeLlamaServer } });
  const kinds = events.map(({ kind }) => kind);
  expect([...new Set(kinds)]).toEqual(["fetch-plan", "bytes", "file-done", "not-fetched"]);
  expect(events[0]).toMatchObject({ plans: [{ model: `"${hf}" (Q8_0)`, plan: { kind: "fetch" } }] });
  expect(events.at(-1)).toMatchObject({ model: `"${hf}" (Q2_K)`, profile: "p", sizeBytes: stranger.length });
});

test("reports a missing build before anything is fetched", async () => {
  await expect(ensure({ llama: { binary: home.join("absent") } })).rejects.toMatchObject({ code: "binary-missing" });
  expect(server.fetched()).toEqual([]);
});
