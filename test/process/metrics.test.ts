import { createServer } from "node:net";
import { once } from "node:events";
import getPort from "get-port";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { llmctl } from "../support/llmctl.ts";
import { untilStatus, upDetached } from "../support/processes.ts";
import { Samples, scrape } from "../support/read-metrics.ts";
import { TempHome } from "../support/temp-home.ts";

let home: TempHome;
let port: number;

beforeEach(async () => {
  home = await TempHome.create();
  port = await getPort({ host: "127.0.0.1" });
});

// Fails when a process is left.
afterEach(() => home[Symbol.asyncDispose]());

describe("metrics", () => {
  test("have the supervisor's samples and those of its server, on a port and on the command line", async () => {
    await home.writeFakeProfile(
      "p",
      {},
      { server: { metrics: true, metrics_port: port }, restart: { backoff: "1ms" } },
    );
    const { pid } = await upDetached(home, "p");
    const samples = await scrape(port);
    expect(samples.value("llmctl_state", { profile: "p", state: "ready" })).toBe(1);
    expect(samples.value("llmctl_drafting", { state: "on" })).toBe(1);
    expect(samples.value("llamacpp:spec_decode_num_draft_tokens_total")).toBeGreaterThan(0);
    process.kill(pid, "SIGKILL");
    await untilStatus(home, "p", "ready again", ({ state, restarts }) => state === "ready" && restarts === 1);
    expect((await scrape(port)).value("llmctl_restarts_total", { cause: "killed" })).toBe(1);
    const { stdout } = await llmctl(["metrics", "p"], { home });
    expect(new Samples(stdout).names).toEqual(
      expect.arrayContaining(["llmctl_starts_total", "llamacpp:tokens_predicted_total"]),
    );
    await llmctl(["down", "p"], { home });
    await expect(scrape(port)).rejects.toThrow("fetch failed");
    expect(await llmctl(["metrics", "p"], { home })).toMatchObject({ exitCode: 3, stdout: "" });
  });

  test("are available while the model loads, without a request to its server", async () => {
    await home.writeFakeProfile("p", { neverReady: true }, { server: { metrics: true, metrics_port: port } });
    await llmctl(["up", "-d", "p", "--timeout", "1s"], { home });
    await untilStatus(home, "p", "loading", ({ state }) => state === "loading");
    const samples = await scrape(port);
    expect(samples.value("llmctl_state", { state: "loading" })).toBe(1);
    expect(samples.names.filter((name) => name.startsWith("llamacpp:"))).toEqual([]);
    await llmctl(["down", "p", "--now"], { home });
  });

  test("a metrics port in use does not keep a server from starting, and the status reports it", async () => {
    const other = createServer().listen(port, "127.0.0.1");
    await once(other, "listening");
    try {
      await home.writeFakeProfile("p", {}, { server: { metrics_port: port } });
      const { warnings } = await upDetached(home, "p");
      expect(warnings.join()).toContain(`no metrics on port ${port}`);
      await llmctl(["down", "p"], { home });
    } finally {
      other.close();
    }
  });
});
