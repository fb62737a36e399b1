import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { llmctl } from "../support/llmctl.ts";
import { fakeLlamaServer, TempHome } from "../support/temp-home.ts";

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
});

// Fails when a process is left.
afterEach(() => home[Symbol.asyncDispose]());

describe("plan --diff", () => {
  test("shows what a restart would change", async () => {
    await home.writeFakeProfile("p", {}, { ctx_size: 512 });
    expect(await llmctl(["plan", "p", "--diff"], { home })).toMatchObject({
      exitCode: 3,
      stderr: expect.stringContaining("is not running"),
    });
    await llmctl(["up", "p", "-d"], { home });
    expect((await llmctl(["plan", "p", "--diff"], { home })).stdout).toBe('"p" runs as planned');

    await home.writeFakeProfile("p", {}, { ctx_size: 1024 });
    const { stdout } = await llmctl(["plan", "p", "--diff"], { home });
    expect(stdout.split("\n").slice(1)).toEqual(["- --ctx-size 512", "+ --ctx-size 1024"]);
    const { diff } = JSON.parse((await llmctl(["plan", "p", "--diff", "--json"], { home })).stdout) as {
      diff: unknown;
    };
    expect(diff).toEqual({ removed: [["--ctx-size", "512"]], added: [["--ctx-size", "1024"]], otherSettings: false });

    await home.writeFakeProfile("p", {}, { ctx_size: 512, health: { failures: 7 } });
    expect((await llmctl(["plan", "p", "--diff"], { home })).stdout).toContain("other settings of the profile differ");
    await llmctl(["down", "p"], { home });
  });
});

test("a plan works before any download, and marks missing files", async () => {
  await home.writeProfile("p", {
    model: { hf: "owner/big", quant: "Q4_K_M" },
    draft: { model: { hf: "owner/small", quant: "Q8_0" } },
    llama: { binary: fakeLlamaServer },
  });
  const { exitCode, stdout, stderr } = await llmctl(["plan", "p"], { home });
  expect(exitCode).toBe(0);
  expect(stdout).toContain("--model '<owner/big:Q4_K_M>'");
  expect(stderr).toContain('"owner/small" (Q8_0) is not on this machine; run "llmctl pull p"');
});

test("--build plans for another llama-server than the profile's", async () => {
  await home.writeFakeProfile("p", {}, { llama: { build: "b1" } });
  expect(await llmctl(["plan", "p", "--build", "b2"], { home })).toMatchObject({
    exitCode: 66,
    stderr: expect.stringMatching(/no build "b2".*\n.*--build/),
  });
  expect((await llmctl(["plan", "p", "--build", fakeLlamaServer], { home })).stdout).toContain(
    `${fakeLlamaServer}\n  --model`,
  );
});

test("flags lists the flags of a build, for people and for scripts", async () => {
  const build = ["--build", fakeLlamaServer];
  expect((await llmctl(["flags", "--ctx-size", ...build], { home })).stdout).toContain("key of a profile: ctx_size");
  const listed = JSON.parse((await llmctl(["flags", ...build, "--json"], { home })).stdout) as {
    program: string;
    flags: { key?: string }[];
  };
  expect(listed.program).toBe("llama-server");
  expect(listed.flags).toContainEqual(
    expect.objectContaining({ names: expect.arrayContaining(["--ctx-size"]), key: "ctx_size" }),
  );
  expect(await llmctl(["flags", "--nonsense", ...build], { home })).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining('"--nonsense"'),
  });
});
