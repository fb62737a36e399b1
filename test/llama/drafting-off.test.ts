import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { decodeTexts } from "../../src/gguf/gguf-array.ts";
import { findArray } from "../../src/gguf/metadata.ts";
import { readModel } from "../../src/gguf/read-model.ts";
import { editGguf } from "../support/gguf-builder.ts";
import { llmctl } from "../support/llmctl.ts";
import { isAlive } from "../support/processes.ts";
import { askForStory, getJson, readServing, upServing } from "../support/real-server.ts";
import { demoDraft, TempHome } from "../support/temp-home.ts";

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
});

// Fails when a process is left.
afterEach(() => home[Symbol.asyncDispose]());

describe("a draft with another tokenizer", () => {
  const differingId = 300;
  let reason: string;

  /** The demo draft with the text of one token changed. */
  beforeEach(async () => {
    const tokens = findArray((await readModel(demoDraft)).header, "tokenizer.ggml.tokens");
    const texts = tokens === undefined ? [] : decodeTexts(tokens);
    const was = texts[differingId] ?? "";
    const is = "#".repeat(was.length);
    const edited = await editGguf(await readFile(demoDraft), (metadata) => {
      metadata["tokenizer.ggml.tokens"] = texts.with(differingId, is);
    });
    await writeFile(home.join("draft.gguf"), edited);
    reason = `token ${differingId} differs: target ${JSON.stringify(was)}, draft ${JSON.stringify(is)}`;
  });

  function writeProfile(onMismatch: "disable" | "fail"): Promise<string> {
    const draft = { model: home.join("draft.gguf"), on_mismatch: onMismatch };
    return home.writeProfile("story", { extends: "demo", llama: { binary: inject("llama").server }, draft });
  }

  test("is left out: the server gets ready without it, and every command names the differing token", async () => {
    await writeProfile("disable");
    const { exitCode, stdout, stderr } = await llmctl(["up", "story", "-d"], { home });
    expect(exitCode).toBe(0);
    expect(stdout).toContain(`drafting off: ${reason}`);
    expect(stderr).toContain(`drafting off: ${reason}`);
    const { url, drafting } = await readServing(home, "story");
    expect(drafting).toEqual({ state: "off", reason });
    expect((await llmctl(["ps"], { home })).stdout).toMatch(/^story +ready .* off +0$/m);
    expect(await getJson(`${url}/slots`)).toMatchObject([{ speculative: false }]);
    expect((await askForStory(url)).timings.draft_n).toBeUndefined();
    await llmctl(["down", "story"], { home });
  });

  test("refuses the start when the profile says so", async () => {
    await writeProfile("fail");
    const { exitCode, stdout, stderr } = await llmctl(["up", "story", "-d"], { home });
    expect({ exitCode, stdout }).toEqual({ exitCode: 78, stdout: "" });
    expect(stderr).toContain(`the draft cannot speed up this target: ${reason}`);
    expect(stderr).toContain("story.yaml:");
    expect(existsSync(home.join("state"))).toBe(false);
  });
});

test("demo-plain serves without drafting because it asks for none", async () => {
  await home.writeProfile("plain", { extends: "demo-plain", llama: { binary: inject("llama").server } });
  const { stderr, stdout } = await llmctl(["up", "plain", "-d"], { home });
  expect({ stderr, said: /ready on .+ · (drafting .+)$/m.exec(stdout)?.[1] }).toEqual({
    stderr: "",
    said: "drafting off: the profile asks for none",
  });
  const { url, pid, drafting } = await readServing(home, "plain");
  expect(drafting).toEqual({ state: "off", reason: "the profile asks for none" });
  const { text, timings } = await askForStory(url);
  expect(text).toContain("otter");
  expect(timings).not.toHaveProperty("draft_n");
  await llmctl(["down", "plain"], { home });
  expect(isAlive(pid)).toBe(false);
});

test("both demo profiles run side by side, each on its own port", async () => {
  const llama = { binary: inject("llama").server };
  await home.writeProfile("story", { extends: "demo", llama });
  await home.writeProfile("plain", { extends: "demo-plain", llama });
  const [drafted, plain] = await Promise.all([upServing(home, "story"), upServing(home, "plain")]);
  expect(drafted.url).not.toBe(plain.url);
  const answers = await Promise.all([askForStory(drafted.url), askForStory(plain.url)]);
  // With greedy sampling drafting changes the speed, not the text.
  expect(answers[0].text).toBe(answers[1].text);
  await Promise.all([llmctl(["down", "story"], { home }), llmctl(["down", "plain"], { home })]);
});
