import { expect, inject, test } from "vitest";
import { llmctl } from "../support/llmctl.ts";
import { ensurePaddedPair } from "../support/padded-pair.ts";
import { askForStory, upServing } from "../support/real-server.ts";
import { TempHome } from "../support/temp-home.ts";

test("the padded target tells the demo target's story, and the demo draft drafts it", async () => {
  await using home = await TempHome.create();
  const { target, draft } = await ensurePaddedPair();
  const storyOf = async (name: string, more: Readonly<Record<string, unknown>>) => {
    await home.writeProfile(name, { extends: "demo-plain", llama: { binary: inject("llama").server }, ...more });
    const { url } = await upServing(home, name);
    const story = await askForStory(url);
    await llmctl(["down", name], { home });
    return story;
  };
  const { text: expected } = await storyOf("small", {});
  const { text, timings } = await storyOf("padded", { model: target, draft: { model: draft, n_max: 4, p_min: 0 } });
  expect(text).toBe(expected);
  expect((timings.draft_n_accepted ?? 0) / (timings.draft_n ?? 0)).toBeGreaterThan(0.7);
});

test("a number of added layers has its own file, built once", async () => {
  const { target } = await ensurePaddedPair(2);
  expect(await ensurePaddedPair(2)).toMatchObject({ target });
  expect(await ensurePaddedPair(3)).not.toMatchObject({ target });
});
