import getPort from "get-port";
import { afterEach, beforeEach, expect, inject, test } from "vitest";
import { llmctl } from "../support/llmctl.ts";
import { scrape } from "../support/read-metrics.ts";
import { upServing } from "../support/real-server.ts";
import { TempHome } from "../support/temp-home.ts";

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
});

// Fails when a process is left.
afterEach(() => home[Symbol.asyncDispose]());

test.each(inject("llamaBuilds"))("metrics of $ref follow those of its supervisor", async ({ server }) => {
  const port = await getPort({ host: "127.0.0.1" });
  await home.writeProfile("story", {
    extends: "demo",
    llama: { binary: server },
    server: { metrics: true, metrics_port: port },
  });
  await upServing(home, "story");
  const samples = await scrape(port);
  expect(samples.value("llmctl_drafting", { state: "on" })).toBe(1);
  expect(samples.value("llamacpp:tokens_predicted_total")).toBeGreaterThan(0);
  await llmctl(["down", "story"], { home });
});
