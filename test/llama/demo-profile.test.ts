import { readFile } from "node:fs/promises";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { llmctl } from "../support/llmctl.ts";
import { isAlive, readServerLog, readStatus } from "../support/processes.ts";
import { askForStory, getJson, programOf, readServing, upServing } from "../support/real-server.ts";
import { TempHome } from "../support/temp-home.ts";

interface Plan {
  readonly launch: {
    readonly file: string;
    readonly args: readonly string[];
    readonly env: Readonly<Record<string, string>>;
  };
}

// The shipped profile, unchanged: only the program differs.
describe.each(inject("llamaBuilds"))("the demo profile on $ref", ({ ref, server }) => {
  let home: TempHome;

  beforeEach(async () => {
    home = await TempHome.create();
    await home.writeProfile("story", { extends: "demo", llama: { binary: server } });
  });

  // Fails when a process is left.
  afterEach(() => home[Symbol.asyncDispose]());

  test("up -d returns when the server is ready and has drafted", async () => {
    const { stdout } = await llmctl(["up", "story", "-d"], { home });
    expect(stdout).toMatch(/ready on http:\/\/127\.0\.0\.1:\d+ in .+ · drafting on, \d+ of \d+ tokens accepted$/m);
    const status = await readServing(home, "story");
    expect(status).toMatchObject({
      presence: "live",
      state: "ready",
      restarts: 0,
      lastExit: null,
      drafting: { state: "on" },
    });
    const { drafting } = status;
    expect(
      drafting.state === "on" && drafting.draftTokens >= drafting.acceptedTokens && drafting.acceptedTokens > 0,
    ).toBe(true);
    await llmctl(["down", "story"], { home });
  });

  test("a chat request is answered with drafted tokens", async () => {
    const { url } = await upServing(home, "story");
    const { text, timings } = await askForStory(url);
    expect(text).toContain("otter");
    expect(timings.draft_n).toBeGreaterThan(0);
    expect(timings.draft_n_accepted).toBeGreaterThan(0);
    await llmctl(["down", "story"], { home });
  });

  test("ps, status and logs describe the running server", async () => {
    const { url, pid, build } = await upServing(home, "story");
    expect(await programOf(pid)).toBe(server);
    expect(await getJson(`${url}/health`)).toEqual({ status: "ok" });
    expect(await getJson(`${url}/slots`)).toMatchObject([{ speculative: true, n_ctx: 512 }]);
    expect(build).toContain(ref.replace(/^[bv]/, ""));

    const listed = JSON.parse((await llmctl(["ps", "--json"], { home })).stdout) as unknown;
    expect(listed).toMatchObject([{ name: "story", state: "ready", url, pid, drafting: { state: "on" } }]);
    const table = (await llmctl(["ps"], { home })).stdout.split("\n");
    expect(table[1]).toMatch(new RegExp(String.raw`^story +ready +\d+s +${pid} +${url} +on \d+% +0$`));
    expect((await llmctl(["status", "story"], { home })).stdout).toContain(`${pid} (supervisor `);

    const logged = await llmctl(["logs", "story", "-n", "1000"], { home });
    expect(logged.stdout).toContain(`listening on ${url}`);
    expect(logged.stdout.split("\n")).toEqual((await readServerLog(home, "story")).trimEnd().split("\n"));
    await llmctl(["down", "story"], { home });
  });

  test("plan prints the command that up runs, and the binary accepts it", async () => {
    const { launch } = JSON.parse((await llmctl(["plan", "story", "--json"], { home })).stdout) as Plan;
    expect(launch.file).toBe(server);
    const dryRun = await execa(launch.file, [...launch.args, "--version"], {
      env: launch.env,
      extendEnv: false,
      all: true,
    });
    expect(dryRun.all).toContain("version:");
    // older builds draft without this flag and do not know it
    expect(launch.args.includes("draft-simple")).toBe(ref === "v0.5.0");

    const { pid } = await upServing(home, "story");
    const running = (await readFile(`/proc/${pid}/cmdline`, "utf8")).split("\0").slice(0, -1);
    expect(running).toEqual([launch.file, ...launch.args]);
    await llmctl(["down", "story"], { home });
  });

  test("restart brings a new process, ready and drafting", async () => {
    const before = await upServing(home, "story");
    const result = await llmctl(["restart", "story"], { home });
    expect(result).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/ready on .+ · drafting on/) });
    const after = await readServing(home, "story");
    expect(after.pid).not.toBe(before.pid);
    expect(after).toMatchObject({
      state: "ready",
      supervisorPid: before.supervisorPid,
      restarts: 0,
      drafting: { state: "on" },
    });
    expect(isAlive(before.pid)).toBe(false);
    expect((await askForStory(after.url)).timings.draft_n).toBeGreaterThan(0);
    await llmctl(["down", "story"], { home });
  });

  test("up leaves a server of an older profile alone and says so; restart uses the edited profile", async () => {
    const before = await upServing(home, "story");
    await home.writeProfile("story", { extends: "demo", llama: { binary: server }, alias: "otter-teller" });
    expect(await llmctl(["up", "story", "-d"], { home })).toMatchObject({
      exitCode: 75,
      stderr: expect.stringContaining('run "llmctl restart story"'),
    });
    expect((await readServing(home, "story")).pid).toBe(before.pid);

    expect((await llmctl(["restart", "story"], { home })).exitCode).toBe(0);
    const { url, drafting } = await readServing(home, "story");
    expect(await getJson(`${url}/v1/models`)).toMatchObject({ data: [{ id: "otter-teller" }] });
    expect(drafting.state).toBe("on");
    await llmctl(["down", "story"], { home });
  });

  test("down returns when the process is gone; a second one says that nothing runs", async () => {
    const { pid, supervisorPid } = await upServing(home, "story");
    expect(await llmctl(["down", "story"], { home })).toMatchObject({ exitCode: 0, stdout: 'stopped "story"' });
    expect(isAlive(pid)).toBe(false);
    expect((await llmctl(["ps"], { home })).stdout).toBe("nothing is running");
    expect(await readStatus(home, "story")).toMatchObject({
      presence: "gone",
      state: "stopped",
      supervisorPid,
      pid: null,
      url: null,
    });
    expect(await llmctl(["down", "story"], { home })).toMatchObject({
      exitCode: 3,
      stderr: expect.stringContaining("is not running"),
    });
  });
});
