import { access } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { llmctl } from "../support/llmctl.ts";
import { TempHome } from "../support/temp-home.ts";

interface Checked {
  readonly name: string;
  readonly flags: readonly unknown[];
  readonly memory: readonly { readonly device: string; readonly needsMib: number }[];
  readonly findings: readonly {
    readonly rank: string;
    readonly code: string;
    readonly message: string;
    readonly at?: string;
  }[];
}

describe.each(inject("llamaBuilds"))("check on $ref", ({ ref, server }) => {
  let home: TempHome;
  beforeEach(async () => {
    home = await TempHome.create();
  });
  afterEach(() => home[Symbol.asyncDispose]());

  const write = (name: string, more: Readonly<Record<string, unknown>> = {}) =>
    home.writeProfile(name, { extends: "demo", llama: { binary: server }, ...more });

  async function check(...names: string[]): Promise<Checked[]> {
    return [JSON.parse((await llmctl(["check", "--json", ...names], { home })).stdout) as Checked | Checked[]].flat();
  }

  const codes = (checked: readonly Checked[]) =>
    checked.map(({ findings }) =>
      findings.filter(({ rank }) => rank !== "note").map(({ rank, code }) => `${rank} ${code}`),
    );

  test("many command lines are tried in one run, and the invalid one is found", async () => {
    await write("a", { alias: "a", ctx_size: 256 });
    await write("b", { alias: "b", sampling: { seed: 4 }, flash_attn: "on" });
    await write("c", { alias: "c", cache_type_k: "q8_0" });
    const right = await check("a", "b", "c");
    expect(codes(right)).toEqual([[], [], []]);
    expect(right.every(({ flags }) => flags.length > 10)).toBe(true);

    await write("b", { args: ["--samplers", "top_k", "--override-kv", "nonsense"] });
    const [, wrong, after] = await check("a", "b", "c");
    expect(wrong?.findings.filter(({ rank }) => rank === "error")).toMatchObject([
      { rank: "error", code: "flag-refused", message: expect.stringContaining("--override-kv") },
    ]);
    expect(after?.findings.filter(({ rank }) => rank === "error")).toEqual([]);
  });

  test("missing devices and a context beyond the model's are reported with the other problems", async () => {
    await write("p", { devices: ["CUDA0"], ctx_size: 4096 });
    const [checked] = await check("p");
    expect(checked?.findings.filter(({ rank }) => rank !== "note")).toMatchObject([
      {
        rank: "error",
        code: "device-missing",
        message: expect.stringContaining("it has only the processor"),
        at: expect.stringMatching(/p\.yaml:\d+:\d+$/),
      },
      { rank: "warning", code: "draft-pair" },
      { rank: "warning", code: "context-beyond-training", message: expect.stringContaining("trained for 512 tokens") },
    ]);
  });

  test("the build's own llama-fit-params computes the memory", async () => {
    await access(join(dirname(server), "llama-fit-params"));
    await write("p");
    const [checked] = await check("p");
    expect(codes(checked === undefined ? [] : [checked])).toEqual([[]]);
    expect(checked?.findings.map(({ code }) => code)).not.toContain("memory-unknown");
    // Builds of that time only print whether a model fits.
    if (ref === "b7698") expect(checked?.memory).toEqual([]);
    else expect(checked?.memory).toMatchObject([{ device: "Host", needsMib: expect.any(Number) }]);
    expect(checked?.memory.every(({ needsMib }) => needsMib > 1 && needsMib < 1000)).toBe(true);
  });
});
