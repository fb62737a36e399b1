import { readFile } from "node:fs/promises";
import { afterEach, beforeEach, expect, inject, test } from "vitest";
import { llmctl } from "../support/llmctl.ts";
import { isAlive } from "../support/processes.ts";
import { streamStory, upServing, type Serving } from "../support/real-server.ts";
import { TempHome } from "../support/temp-home.ts";

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
});

// Fails when a process is left.
afterEach(() => home[Symbol.asyncDispose]());

/** Starts a server that answers beyond its context, for as long as it is asked to. */
async function upEndless(stopTimeout: string): Promise<Serving> {
  await home.writeProfile("story", {
    extends: "demo",
    llama: { binary: inject("llama").server },
    args: ["--context-shift"],
    stop: { timeout: stopTimeout },
  });
  return upServing(home, "story");
}

/** @returns the last item. */
async function readToEnd<T>(items: AsyncIterable<T>): Promise<T | undefined> {
  let last: T | undefined;
  for await (const item of items) last = item;
  return last;
}

test("down lets a running request finish", async () => {
  const { url, pid } = await upEndless("10m");
  const story = streamStory(url, 600);
  await story.next();
  const down = llmctl(["down", "story"], { home });
  expect(await readToEnd(story)).toMatchObject({ choices: [{ finish_reason: "length" }], timings: { predicted_n: 600 } });
  expect((await down).exitCode).toBe(0);
  expect(isAlive(pid)).toBe(false);
  const events = await readFile(home.join("state", "story", "supervisor.log"), "utf8");
  expect(events).toContain("waiting for running requests to end, at most 10 min 0 s");
});

test("a request that lasts longer than the profile allows does not keep the server from going down", async () => {
  const { url, pid } = await upEndless("200ms");
  const story = streamStory(url, 1_000_000);
  await story.next();
  expect((await llmctl(["down", "story"], { home })).exitCode).toBe(0);
  expect(isAlive(pid)).toBe(false);
  await expect(readToEnd(story)).rejects.toThrow(/terminated|broke off/);
  // By its own hand: SIGKILL leaves no last word.
  expect(await readFile(home.join("state", "story", "server.log"), "utf8")).toContain("Received second interrupt");
});

test("down --now does not wait for a running request", async () => {
  const { url, pid } = await upEndless("10m");
  const story = streamStory(url, 1_000_000);
  await story.next();
  expect((await llmctl(["down", "story", "--now"], { home })).exitCode).toBe(0);
  expect(isAlive(pid)).toBe(false);
  await expect(readToEnd(story)).rejects.toThrow(/terminated|broke off/);
});
