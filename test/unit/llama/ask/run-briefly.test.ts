import { expect, test } from "vitest";
import { explainFailedRun } from "../../../../src/llama/ask/failed-run.ts";
import { runBriefly } from "../../../../src/llama/ask/run-briefly.ts";

const env = { PATH: process.env["PATH"] ?? "" };
const sh = (script: string, options: { timeoutMs?: number; maxBytes?: number } = {}) =>
  runBriefly("/bin/sh", ["-c", script], { env, timeoutMs: 300, ...options });

test.each(["sleep 60 & echo $!; exec sleep 60", "sleep 60 & echo $!"])(
  "a program whose child holds its output open is not waited for: %s",
  async (script) => {
    const run = await sh(script);
    const child = Number(run.stdout);
    expect(run).toMatchObject({ failed: true, timedOut: true });
    // It is alive: if the program were waited for, the test would time out.
    process.kill(child, "SIGKILL");
  },
);

test("a program that prints too much is stopped, and the error says so", async () => {
  const run = await sh("exec yes", { timeoutMs: 60_000, maxBytes: 10_000 });
  expect(run.failed).toBe(true);
  expect(run.stdout.length).toBeLessThanOrEqual(10_000);
  const error = await explainFailedRun("/bin/x", "answer --help", env, run);
  expect(error).toMatchObject({
    code: "binary-failed",
    message: '"/bin/x" printed too much when asked to answer --help',
  });
});
