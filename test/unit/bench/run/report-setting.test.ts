import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { reportSetting } from "../../../../src/bench/run/report-setting.ts";
import type { BenchSetting } from "../../../../src/bench/servers/plan-setting.ts";
import { makeLaunch } from "../../../support/make-launch.ts";
import { makeProfile } from "../../../support/llama-help.ts";

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "llmctl-setting-"))));
afterEach(() => rmSync(folder, { recursive: true }));

function makeSetting(draft: object | undefined, paths: readonly string[]): BenchSetting {
  return {
    label: "one",
    remembers: false,
    profile: makeProfile({ model: "/m.gguf", ...(draft === undefined ? {} : { draft }) }),
    launch: makeLaunch({ args: ["--model", "m"], files: paths.map((path) => ({ path, sizeBytes: 7 })) }),
    flags: [],
    costKeys: undefined,
  };
}

test("a setting is reported with its draft, its command, and the digests that the cache of the Hub knows", async () => {
  const digest = "0123456789abcdef".repeat(4);
  mkdirSync(join(folder, "blobs"));
  for (const name of [`blobs/${digest}`, "own.gguf"]) writeFileSync(join(folder, name), "content");
  const [linked, own, gone] = ["linked.gguf", "own.gguf", "gone.gguf"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  symlinkSync(join(folder, "blobs", digest), linked);
  const reported = await reportSetting(makeSetting({ model: "/d.gguf", n_max: 4 }, [linked, own, gone]), 250);
  expect(reported).toEqual({
    label: "one",
    draft: expect.objectContaining({ model: "/d.gguf", n_max: 4, on_loss: "warn" }) as unknown,
    command: { file: "/bin/server", args: ["--model", "m"] },
    files: [
      { path: linked, sizeBytes: 7, sha256: digest },
      { path: own, sizeBytes: 7, sha256: null },
      { path: gone, sizeBytes: 7, sha256: null },
    ],
    loadMs: 250,
  });
});

test("without drafting, and without a start of its server, both are null", async () => {
  expect(await reportSetting(makeSetting(undefined, []), undefined)).toMatchObject({ draft: null, loadMs: null });
});
