import { expect, inject, test } from "vitest";
import { llmctl } from "../support/llmctl.ts";
import { askForStory, upServing } from "../support/real-server.ts";
import { TempHome } from "../support/temp-home.ts";

test("the demo drafts from its own text, without a second model", async () => {
  await using home = await TempHome.create();
  await home.writeProfile("story", { extends: "demo-ngram", llama: { binary: inject("llama").server } });
  const { url, drafting } = await upServing(home, "story");
  expect(drafting.state).toBe("on");
  expect((await askForStory(url)).timings.draft_n).toBeGreaterThan(0);
  await llmctl(["down", "story"], { home });
});
