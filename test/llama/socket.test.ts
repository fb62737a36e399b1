import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { llmctl, llmctlCommand } from "../support/llmctl.ts";
import { isAlive, readStatus, untilGone, upDetached } from "../support/processes.ts";
import { TempHome } from "../support/temp-home.ts";
import { Terminal } from "../support/terminal.ts";
import { until } from "../support/until.ts";

let home: TempHome;
let path: string;

beforeEach(async () => {
  home = await TempHome.create();
  path = home.join("run/a b.sock");
  await mkdir(home.join("run"), { recursive: true });
  await writeFile(home.join("keys"), "sesame\n", { mode: 0o600 });
});

// Fails when a process is left.
afterEach(() => home[Symbol.asyncDispose]());

async function post(target: string, body: unknown, key: string | undefined): Promise<IncomingMessage> {
  const headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
  const outgoing = request({ socketPath: path, path: target, method: "POST", agent: false, headers }).end(
    JSON.stringify(body),
  );
  const [response] = (await once(outgoing, "response")) as [IncomingMessage];
  return response;
}

// The shipped profile: only the program, the socket and the key are added.
describe.each(inject("llamaBuilds"))("the demo pair on a unix socket of $ref, with a key", ({ server }) => {
  beforeEach(() =>
    home.writeProfile("story", {
      extends: "demo",
      llama: { binary: server },
      server: { host: path, api_key_file: home.join("keys") },
    }),
  );

  test("gets ready, drafts, chats, and leaves no file; a stale socket does not prevent a start", async () => {
    const first = await upDetached(home, "story");
    expect(first).toMatchObject({ state: "ready", url: `unix://${path}`, drafting: { state: "on" }, warnings: [] });
    const { statusCode } = (await post("/completion", { prompt: "Hello", n_predict: 1 }, undefined)).resume();
    expect(statusCode).toBe(401);
    expect((await llmctl(["status", "story"], { home })).stdout).toContain(`unix://${path}`);

    await using terminal = new Terminal(llmctlCommand(["chat", "story"]), home);
    await terminal.waitFor("/exit ends");
    terminal.type("Hello\r");
    await terminal.waitFor("Hello!");
    terminal.type("/exit\r");
    expect((await terminal.ended).exitCode).toBe(0);

    process.kill(first.supervisorPid, "SIGKILL");
    await untilGone(first.supervisorPid);
    await untilGone(first.pid);
    expect(existsSync(path)).toBe(true);
    const second = await upDetached(home, "story");
    expect(second).toMatchObject({ state: "ready", url: `unix://${path}`, drafting: { state: "on" } });
    expect((await llmctl(["down", "story"], { home })).exitCode).toBe(0);
    expect(isAlive(second.pid)).toBe(false);
    expect(existsSync(path)).toBe(false);
  });

  test("finishes its requests before it stops, even without its key file", async () => {
    await upDetached(home, "story");
    const answer = await post(
      "/completion",
      { prompt: "Once", n_predict: 300, ignore_eos: true, stream: true },
      "sesame",
    );
    const lines: string[] = [];
    const reading = (async () => {
      for await (const line of createInterface({ input: answer })) lines.push(line);
    })();
    await until("it answers", () => lines.length > 4);
    await writeFile(home.join("keys"), "");
    expect((await llmctl(["down", "story"], { home })).exitCode).toBe(0);
    await reading;
    expect(lines.findLast((line) => line !== "")).toContain('"stop":true');
    expect((await readStatus(home, "story")).state).toBe("stopped");
  });
});
