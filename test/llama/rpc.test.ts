import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import getPort from "get-port";
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { llmctl } from "../support/llmctl.ts";
import { readStatus, untilStatus } from "../support/processes.ts";
import { askForStory, readServing, streamStory, upServing } from "../support/real-server.ts";
import { TempHome } from "../support/temp-home.ts";

describe.each(inject("llamaBuilds"))("a server with workers on $ref", ({ server }) => {
  let home: TempHome;
  /** Addresses of the two workers, which are usually on different machines; here both are the loopback. */
  let workers: string[];

  beforeEach(async () => {
    home = await TempHome.create();
    workers = [];
    for (const [name, host] of [
      ["first", "127.0.0.1"],
      ["second", "127.0.0.2"],
    ] as const) {
      const port = await getPort({ host });
      workers.push(`${host}:${port}`);
      await home.writeProfile(name, {
        kind: "rpc-worker",
        server: { host, port },
        llama: { binary: server },
        restart: { backoff: "10ms" },
      });
    }
    await home.writeProfile("story", {
      extends: "demo",
      llama: { binary: server },
      rpc: { workers },
      devices: ["RPC0", "RPC1"],
      tensor_split: [1, 1],
      gpu_layers: "all",
      args: ["--context-shift"], // a request then ends only with its server
      restart: { backoff: "10ms", backoff_max: "100ms" },
      health: { interval: "500ms" },
    });
  });

  // Fails when a process is left.
  afterEach(() => home[Symbol.asyncDispose]());

  test("computes on both, is started again when it loses one, and waits for a missing one", async () => {
    expect((await llmctl(["up", "-d", "first", "second"], { home })).exitCode).toBe(0);
    expect((await llmctl(["check", "story"], { home })).exitCode).toBe(0);
    const serving = await upServing(home, "story");
    expect(serving.drafting).toMatchObject({ state: "on" });
    for (const worker of ["first", "second"]) {
      const said = await readFile((await readStatus(home, worker)).log, "utf8");
      expect(said.lastIndexOf("Accepted client connection")).toBeGreaterThan(
        said.lastIndexOf("Client connection closed"),
      );
    }
    expect((await askForStory(serving.url)).timings.draft_n).toBeGreaterThan(0);

    // For a server without requests, its connections show the loss.
    process.kill((await readStatus(home, "first")).pid ?? 0, "SIGKILL");
    await untilStatus(home, "story", "ready again", ({ state, restarts }) => state === "ready" && restarts === 1);

    // With a request the server notices the loss itself, and aborts.
    const again = await readServing(home, "story");
    const second = await readStatus(home, "second");
    const running = streamStory(again.url, 1_000_000);
    await running.next();
    process.kill(second.pid ?? 0, "SIGKILL");
    await expect(exhaust(running)).rejects.toThrow("terminated");
    await untilStatus(home, "story", "ready again", ({ state, restarts }) => state === "ready" && restarts === 2);
    expect(await readStatus(home, "story")).toMatchObject({
      drafting: { state: "on" },
      restartsByCause: { "rpc-worker-lost": 2 },
    });

    expect((await llmctl(["down", "second"], { home })).exitCode).toBe(0);
    const { waitingFor } = await untilStatus(
      home,
      "story",
      "waiting",
      (status) => status.waitingFor?.kind === "rpc-worker-unusable",
    );
    expect(waitingFor?.message).toBe(`no worker listens on ${workers[1]}`);
    const checked = await llmctl(["check", "story"], { home });
    expect(checked.exitCode).toBe(0); // it runs, and its workers are its own
    expect((await llmctl(["up", "-d", "second"], { home })).exitCode).toBe(0);
    await untilStatus(home, "story", "ready once more", ({ state }) => state === "ready");
    expect((await llmctl(["down", "story"], { home })).exitCode).toBe(0);
    expect((await llmctl(["down", "first", "second"], { home })).exitCode).toBe(0);
  });

  test("names before the start a worker that is missing or is another program", async () => {
    const absent = await llmctl(["check", "story"], { home });
    expect(absent.exitCode).toBe(69);
    expect(absent.stdout).toContain(`no worker listens on ${workers[0]}`);
    expect(absent.stdout).toContain('start it on its machine: "llmctl up"');

    await home.writeProfile("other", { extends: "story", alias: "other" });
    expect((await llmctl(["up", "-d", "first", "second"], { home })).exitCode).toBe(0);
    await upServing(home, "story");
    const taken = await llmctl(["check", "other"], { home });
    expect(taken.exitCode).toBe(69);
    expect(taken.stdout).toContain(
      `worker ${workers[0]} does not answer: it is out of reach, or serves another program`,
    );
    expect((await llmctl(["down", "story"], { home })).exitCode).toBe(0);
    expect((await llmctl(["check", "other"], { home })).exitCode).toBe(0);
    expect((await llmctl(["down", "first", "second"], { home })).exitCode).toBe(0);
  });

  test("the plan has the program of a worker, and the worker flags of a server", async () => {
    const worker = JSON.parse((await llmctl(["plan", "first", "--json"], { home })).stdout) as {
      launch: { file: string; args: string[] };
    };
    expect(dirname(worker.launch.file)).toBe(dirname(server));
    expect(worker.launch.file).toMatch(/rpc-server$/);
    expect(worker.launch.args).toEqual(["--host", "127.0.0.1", "--port", workers[0]?.split(":")[1]]);
    const { stdout, stderr } = await llmctl(["plan", "story"], { home });
    expect(stdout).toContain(`--rpc ${workers.join(",")}`);
    expect(stderr).toContain("neither passwords nor encryption");
    for (const name of ["first", "story"])
      expect((await llmctl(["check", name], { home })).stdout).toContain("neither passwords nor encryption");
  });
});

async function exhaust(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}
