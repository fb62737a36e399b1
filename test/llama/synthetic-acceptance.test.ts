import { expect, inject, test } from "vitest";
import { llmctl } from "../support/llmctl.ts";
import { askForStory, upServing } from "../support/real-server.ts";
import { ensureEndlessDraft, geometricRates, writeSyntheticServer } from "../support/synthetic-acceptance.ts";
import { TempHome } from "../support/temp-home.ts";

test.each([
  { nMax: 4, rates: geometricRates(1), share: 1 },
  { nMax: 3, rates: [1, 1, 0, 0, 0], share: 2 / 3 },
  { nMax: 2, rates: [0, 0], share: 0 },
])("of $nMax drafted tokens a server with synthetic acceptance accepts $share", async ({ nMax, rates, share }) => {
  await using home = await TempHome.create();
  const binary = await writeSyntheticServer(home.join("bin"), inject("llama").server, rates);
  await home.writeProfile("synthetic", {
    extends: "demo-plain",
    draft: { model: await ensureEndlessDraft(), n_max: nMax, p_min: 0, gpu_layers: 0 },
    llama: { binary },
  });
  const { url } = await upServing(home, "synthetic");
  const { draft_n: drafted = 0, draft_n_accepted: accepted = 0 } = (await askForStory(url)).timings;
  await llmctl(["down", "synthetic"], { home });
  expect(drafted).toBeGreaterThan(20);
  // The last draft of an answer is shortened to the tokens that are left.
  expect(Math.abs(accepted - share * drafted)).toBeLessThan(nMax);
});
