import { readdir, readlink } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { llmctl, type RunResult } from "../support/llmctl.ts";
import { writeFakeSource } from "../support/llama-source.ts";
import { readStatus, upDetached } from "../support/processes.ts";
import { fakeLlamaServer, TempHome } from "../support/temp-home.ts";

let home: TempHome;
beforeEach(async () => {
  home = await TempHome.create();
});
afterEach(() => home[Symbol.asyncDispose]());

interface FakeBuild {
  readonly note: string;
  /** A flag that this build does not have. */
  readonly without?: string;
  /** Faults of its server; see fake-llama-server.mjs. */
  readonly faults?: Readonly<Record<string, unknown>>;
}

/** A source whose server is the fake one. */
async function makeSource({ note, without = "--none", faults = {} }: FakeBuild): Promise<string> {
  const server = `#!/usr/bin/env node
const { writeSync } = require("node:fs");
process.env.FAKE_LLAMA ??= ${JSON.stringify(JSON.stringify(faults))};
if (process.argv.includes("--help")) {
  const { execFileSync } = require("node:child_process");
  const help = execFileSync(process.execPath, [${JSON.stringify(fakeLlamaServer)}, "--help"], { encoding: "utf8" });
  writeSync(1, help.split("\\n").filter((line) => !line.includes(${JSON.stringify(without)})).join("\\n"));
} else import(${JSON.stringify(fakeLlamaServer)});
`;
  return writeFakeSource(home.join("source"), { note, server });
}

async function run(command: string, build: FakeBuild, ...options: string[]): Promise<RunResult> {
  return llmctl([command, "--source", await makeSource(build), "--portable", ...options], { home });
}

const current = () => readlink(home.join("data/llama.cpp/current"));

describe("llmctl upgrade", () => {
  test("switches to a build on which every profile starts and the demo drafts; --rollback switches back", async () => {
    await run("build", { note: "one" });
    const first = await current();
    await home.writeProfile("mine", { extends: "demo", args: ["--slot-prompt-similarity", "0.4"] });
    const { exitCode, stdout } = await run("upgrade", { note: "two" });
    expect(stdout).toMatch(/^profiles +\d+ checked, 0 would break; 0 do not follow the current build$/m);
    expect(stdout).toMatch(/^demo +ready, \d+ of \d+ drafted tokens accepted$/m);
    expect(exitCode).toBe(0);
    const second = await current();
    expect(second).not.toBe(first);
    expect(stdout).toContain(`current   ${second}; go back to ${first}: llmctl upgrade --rollback`);

    expect(await llmctl(["upgrade", "--rollback"], { home })).toMatchObject({
      exitCode: 0,
      stdout: `current   ${first}`,
    });
    expect(await current()).toBe(first);
    await llmctl(["upgrade", "--rollback"], { home });
    expect(await current()).toBe(second);
    // the demo of the upgrade is not a profile of the user
    expect(await readdir(home.join("state")).catch(() => [])).toEqual([]);
  });

  test("refuses a build on which a profile would not start, except with --even-if-profiles-break", async () => {
    await run("build", { note: "one" });
    const first = await current();
    await home.writeProfile("mine", { extends: "demo", args: ["--slot-prompt-similarity", "0.4"] });
    await home.writeProfile("other", { extends: "demo" });
    const refused = await run("upgrade", { note: "two", without: "--slot-prompt-similarity" });
    expect(refused.stdout).toMatch(/^profiles +\d+ checked, 1 would break/m);
    expect(refused.stdout).toMatch(
      /^error +mine: "--slot-prompt-similarity" is unknown to .+\n +at: .+mine\.yaml:\d+:\d+$/m,
    );
    expect(refused.stderr).toContain(`"mine" would not start on `);
    expect(refused.stderr).toContain(`"${first}" stays the current build`);
    expect(refused.exitCode).toBe(78);
    expect(await current()).toBe(first);

    const told = await run("upgrade", { note: "two", without: "--slot-prompt-similarity" }, "--even-if-profiles-break");
    expect(told.exitCode).toBe(0);
    expect(await current()).not.toBe(first);
  });

  test("switches although a profile is invalid already or names its own build", async () => {
    await run("build", { note: "one" });
    await home.writeProfile("broken", { extends: "demo", args: ["--no-such-flag"] });
    await home.writeProfile("pinned", {
      extends: "demo",
      llama: { build: await current() },
      args: ["--slot-prompt-similarity", "0.4"],
    });
    const { exitCode, stdout } = await run("upgrade", { note: "two", without: "--slot-prompt-similarity" });
    expect(stdout).toMatch(/ 0 would break; 1 do not follow the current build$/m);
    expect(exitCode).toBe(0);
  });

  test("keeps the current build when the demo pair does not draft on the new one", async () => {
    await run("build", { note: "one" });
    const first = await current();
    const { exitCode, stderr } = await run(
      "upgrade",
      { note: "two", faults: { noDraft: true } },
      "--even-if-profiles-break",
    );
    expect(stderr).toMatch(/error: the demo pair does not run on .+: .*draft/);
    expect(exitCode).toBe(1);
    expect(await current()).toBe(first);
  });

  test("leaves a running server alone", async () => {
    await run("build", { note: "one" });
    await home.writeProfile("mine", { extends: "demo" });
    const before = await upDetached(home, "mine");
    expect((await run("upgrade", { note: "two" })).exitCode).toBe(0);
    expect(await readStatus(home, "mine")).toMatchObject({
      state: "ready",
      pid: before.pid,
      restarts: 0,
      build: before.build,
    });
    await llmctl(["down", "mine"], { home });
  });

  test("does nothing for the current build, and --rollback fails without an earlier build", async () => {
    await run("build", { note: "one" });
    expect((await run("upgrade", { note: "one" })).stdout).toMatch(/^current +\S+, as before$/m);
    const { exitCode, stderr } = await llmctl(["upgrade", "--rollback"], { home });
    expect(stderr).toContain("no earlier current build is known");
    expect(exitCode).toBe(66);
  });
});
