import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type PausedProfile, resumeCommand, type ResumeMessage } from "../../src/fleet/pause/pause-message.ts";
import { llmctl } from "../support/llmctl.ts";
import { readStatus, untilStatus, upDetached } from "../support/processes.ts";
import { TempHome } from "../support/temp-home.ts";

let home: TempHome;
beforeEach(async () => {
  home = await TempHome.create();
});
afterEach(() => home[Symbol.asyncDispose]());

/** Runs the process that ends a pause, as if the one that paused the profiles had ended at once. */
async function resume(paused: readonly PausedProfile[]) {
  const { stdout, stderr, exitCode } = await llmctl([resumeCommand, JSON.stringify(paused)], { home, input: "" });
  expect(stderr).toBe("");
  const lines = stdout.split("\n").filter((line) => line !== "");
  return { exitCode, messages: lines.map((line) => JSON.parse(line) as ResumeMessage) };
}

const isProgress = ({ kind }: ResumeMessage) => kind === "progress";

test("what a pause has stopped is started again in order, and tells how far it is", async () => {
  const paths = [await home.writeFakeProfile("a"), await home.writeFakeProfile("b")];
  const { exitCode, messages } = await resume([
    { name: "a", path: paths[0] ?? "" },
    { name: "b", path: paths[1] ?? "" },
  ]);
  expect(exitCode).toBe(0);
  expect(messages.filter((message) => !isProgress(message))).toEqual([
    { kind: "running", name: "a" },
    { kind: "running", name: "b" },
  ]);
  expect(messages.some((message) => isProgress(message) && message.name === "a")).toBe(true);
  for (const name of ["a", "b"]) expect(await readStatus(home, name)).toMatchObject({ state: "ready" });
  await llmctl(["down", "--all"], { home });
});

test("a profile that runs already is left alone, also with another configuration", async () => {
  const path = await home.writeFakeProfile("a");
  const { pid } = await upDetached(home, "a");
  await home.writeFakeProfile("a", {}, { stop: { timeout: "3s" } });
  expect(await resume([{ name: "a", path }])).toEqual({ exitCode: 0, messages: [{ kind: "running", name: "a" }] });
  expect((await readStatus(home, "a")).pid).toBe(pid);
  await llmctl(["down", "a"], { home });
});

test("a profile that is still being stopped is started again once it is gone", async () => {
  const path = await home.writeFakeProfile("a", { exitDelayMs: 1500 });
  const { pid } = await upDetached(home, "a");
  // Its stop goes on after whoever asked for it has died.
  const stop = llmctl(["down", "a"], { home });
  await untilStatus(home, "a", "being stopped", ({ state }) => state === "stopping");
  const { exitCode, messages } = await resume([{ name: "a", path }]);
  expect([exitCode, messages.at(-1)]).toEqual([0, { kind: "running", name: "a" }]);
  await stop;
  const status = await readStatus(home, "a");
  expect(status.state).toBe("ready");
  expect(status.pid).not.toBe(pid);
  await llmctl(["down", "a"], { home });
});

test("one that does not start again keeps no other from it, and gives the exit code", async () => {
  const path = await home.writeFakeProfile("b");
  const gone = join(home.path, "gone.yaml");
  await rm(gone, { force: true });
  const { exitCode, messages } = await resume([
    { name: "gone", path: gone },
    { name: "b", path },
  ]);
  const [failed, running] = messages.filter((message) => !isProgress(message));
  expect(failed).toMatchObject({ kind: "failed", name: "gone", code: exitCode });
  expect(exitCode).not.toBe(0);
  expect(running).toEqual({ kind: "running", name: "b" });
  await llmctl(["down", "b"], { home });
});

test("nothing is stopped for a measurement that cannot begin", async () => {
  await home.writeFakeProfile("a");
  await home.writeFakeProfile("plain", {}, { draft: null });
  const { pid } = await upDetached(home, "a");
  const { exitCode, stdout } = await llmctl(["bench", "plain", "--replace", "a", "--json"], { home });
  expect(exitCode).not.toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ error: { code: "bench-no-draft" } });
  expect((await readStatus(home, "a")).pid).toBe(pid);
  await llmctl(["down", "a"], { home });
});

test("a profile that does not run cannot be paused, and the others are not stopped", async () => {
  await home.writeFakeProfile("a");
  await home.writeFakeProfile("mine", {}, { draft: { type: "ngram-mod" } });
  const { pid } = await upDetached(home, "a");
  const { exitCode, stdout } = await llmctl(["bench", "mine", "--replace", "a", "--replace", "b", "--json"], { home });
  expect(exitCode).toBe(3);
  expect(JSON.parse(stdout)).toMatchObject({ error: { code: "not-running", message: '"b" is not running' } });
  expect((await readStatus(home, "a")).pid).toBe(pid);
  await llmctl(["down", "a"], { home });
});
