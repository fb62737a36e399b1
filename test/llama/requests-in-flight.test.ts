import { readFile } from "node:fs/promises";
import { afterEach, beforeEach, expect, inject, test } from "vitest";
import { llmctl } from "../support/llmctl.ts";
import { isAlive } from "../support/processes.ts";
import { streamStory, upServing, type Serving } from "../support/real-server.ts";
import { TempHome } from "../support/temp-home.ts";
import { until } from "../support/until.ts";

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
});

// Fails when a process is left.
afterEach(() => home[Symbol.asyncDispose]());

/** Starts a server that can generate beyond its context, up to the requested number of tokens. */
async function upEndless(stopTimeout: string): Promise<Serving> {
  await home.writeProfile("story", {
    extends: "demo",
    llama: { binary: inject("llama").server },
    args: ["--context-shift"],
    server: { metrics: true },
    stop: { timeout: stopTimeout },
  });
  return upServing(home, "story");
}

/** Each request has its own connection: the server closes a used one at any time. */
async function readMetrics(url: string): Promise<string> {
  return (await fetch(`${url}/metrics`, { headers: { connection: "close" } })).text();
}

/** What the supervisor has logged. */
const readEvents = () => readFile(home.join("state", "story", "supervisor.log"), "utf8");

/** @returns the last item. */
async function readToEnd<T>(items: AsyncIterable<T>): Promise<T | undefined> {
  let last: T | undefined;
  for await (const item of items) last = item;
  return last;
}

test("down lets requests finish, even a queued one", async () => {
  const { url, pid } = await upEndless("10m");
  const hangUp = new AbortController();
  const endless = streamStory(url, 1_000_000, hangUp.signal);
  await endless.next();
  // It waits for the only slot, and so cannot finish before the stop is requested.
  const story = readToEnd(streamStory(url, 600));
  await until("it waits", async () => (await readMetrics(url)).includes("\nllamacpp:requests_deferred 1\n"));
  const down = llmctl(["down", "story"], { home });
  await until("down waits", async () =>
    (await readEvents()).includes("waiting for running requests to end, at most 10 min 0 s"),
  );
  hangUp.abort();
  await expect(readToEnd(endless)).rejects.toThrow(/abort/);
  expect(await story).toMatchObject({ choices: [{ finish_reason: "length" }], timings: { predicted_n: 600 } });
  expect((await down).exitCode).toBe(0);
  expect(isAlive(pid)).toBe(false);
});

test("a request that lasts longer than the profile allows does not keep the server from going down", async () => {
  const { url, pid } = await upEndless("200ms");
  const story = streamStory(url, 1_000_000);
  await story.next();
  expect((await llmctl(["down", "story"], { home })).exitCode).toBe(0);
  expect(isAlive(pid)).toBe(false);
  await expect(readToEnd(story)).rejects.toThrow(/terminated|broke off/);
  // The server exits by itself, at its first SIGTERM or its second.
  expect(await readEvents()).not.toContain(" killing ");
});

test("down --now does not wait for a running request", async () => {
  const { url, pid } = await upEndless("10m");
  const story = streamStory(url, 1_000_000);
  await story.next();
  expect((await llmctl(["down", "story", "--now"], { home })).exitCode).toBe(0);
  expect(isAlive(pid)).toBe(false);
  await expect(readToEnd(story)).rejects.toThrow(/terminated|broke off/);
  expect(await readEvents()).toContain(" killing ");
});
