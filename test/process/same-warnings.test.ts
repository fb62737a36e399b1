import { chmod, copyFile, mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { findPaths, type Paths } from "../../src/base/files/paths.ts";
import { urlModelFolder } from "../../src/hub/find/find-model.ts";
import { listUrlFiles } from "../../src/hub/find/url-files.ts";
import { checkProfiles } from "../../src/llama/plan/check-profile.ts";
import type { Finding } from "../../src/llama/plan/finding.ts";
import { planLaunch } from "../../src/llama/plan/plan-launch.ts";
import { PlanSession } from "../../src/llama/plan/plan-session.ts";
import { loadProfile } from "../../src/profiles/load.ts";
import { demoDraft, demoTarget, fakeLlamaServer, TempHome } from "../support/temp-home.ts";

/** Findings that only a check has: the memory of the devices, and keys without a flag. */
const onlyChecked = new Set(["key-left-out", "memory-unknown", "ram-short", "device-memory-short"]);

let home: TempHome;
let paths: Paths;
let server = "";
let env: NodeJS.ProcessEnv = {};

beforeEach(async () => {
  home = await TempHome.create();
  env = { PATH: process.env["PATH"], LLMCTL_HOME: home.path, LLAMA_ARG_CTX_SIZE: "512" };
  paths = findPaths(env);
  server = await writeProgram("llama-server", `exec "${process.execPath}" "${fakeLlamaServer}" "$@"`);
  await writeProgram("ggml-rpc-server", "echo --host --port --device --threads --cache");
});
afterEach(() => home[Symbol.asyncDispose]());

async function writeProgram(name: string, line: string): Promise<string> {
  const path = home.join(name);
  await writeFile(path, `#!/bin/sh\n${line}\n`);
  await chmod(path, 0o755);
  return path;
}

/** A model that was fetched from an address whose digest the profile does not know. */
async function fetchWithoutDigest(): Promise<{ readonly url: string }> {
  const ref = { url: "https://models.invalid/demo-target.gguf" };
  for (const { path } of listUrlFiles(ref, { urlFolder: urlModelFolder(paths) })) {
    await mkdir(dirname(path), { recursive: true });
    await copyFile(demoTarget, path);
  }
  return ref;
}

async function writeOpenKeys(): Promise<string> {
  const path = home.join("keys");
  await writeFile(path, "a-key\n");
  await chmod(path, 0o644);
  return path;
}

/** A home with a config file of llama.cpp itself. */
async function writeOwnConfig(): Promise<string> {
  const folder = home.join("user", ".config", "llama.cpp");
  await mkdir(folder, { recursive: true });
  await writeFile(`${folder}/config.ini`, "threads = 2\n");
  return home.join("user");
}

const draft = { model: demoDraft };

test.each<[string, () => Promise<Readonly<Record<string, unknown>>>, readonly string[]]>([
  ["an RPC worker", async () => ({ kind: "rpc-worker", server: { port: 50052 } }), ["rpc-unprotected"]],
  [
    "workers",
    async () => ({ model: demoTarget, rpc: { workers: ["127.0.0.1:1"] } }),
    ["rpc-unprotected", "stray-flags"],
  ],
  [
    "an address without a key",
    async () => ({ model: demoTarget, server: { host: "0.0.0.0" } }),
    ["no-api-key", "stray-flags"],
  ],
  [
    "keys that others can read",
    async () => ({ model: demoTarget, server: { api_key_file: await writeOpenKeys() } }),
    ["api-key-file-open", "stray-flags"],
  ],
  ["a model without a digest", async () => ({ model: await fetchWithoutDigest() }), ["stray-flags", "no-digest"]],
  [
    "a context beyond the training",
    async () => ({ model: demoTarget, draft, ctx_size: 99_999 }),
    ["draft-pair", "context-beyond-training", "stray-flags"],
  ],
  [
    "a draft that does not fit",
    async () => ({ model: demoTarget, draft: { ...draft, type: "draft-mtp" } }),
    ["drafting-off", "stray-flags"],
  ],
  [
    "flags in llama.cpp's own config file",
    async () => ({ model: demoTarget, env: { HOME: await writeOwnConfig() } }),
    ["stray-flags", "stray-flags"],
  ],
])("a profile with %s gets the same warnings from up, plan and check", async (_, values, codes) => {
  const path = await home.writeProfile("p", { llama: { binary: server }, ...(await values()) });
  const profile = await loadProfile(path, { folders: [], env, cwd: home.path });
  const up = await planLaunch(profile, { paths, env });
  const plan = await planLaunch(profile, { paths, env, lacking: "mark" });
  const [check] = await checkProfiles([profile], new PlanSession(paths, env));
  const shared = (check?.findings ?? []).filter(
    ({ rank, code }: Finding) => rank !== "error" && !onlyChecked.has(code),
  );
  expect(up.findings.map(({ code }) => code)).toEqual(codes);
  expect(plan.findings).toEqual(up.findings);
  expect(shared).toEqual(up.findings);
});
