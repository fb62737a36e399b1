import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { llmctl, llmctlCommand } from "../support/llmctl.ts";
import { upServing } from "../support/real-server.ts";
import { TempHome } from "../support/temp-home.ts";
import { Terminal } from "../support/terminal.ts";

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
});

// Fails when a process is left.
afterEach(() => home[Symbol.asyncDispose]());

// The shipped profile, unchanged: only the program differs.
describe.each(inject("llamaBuilds"))("the demo profile on llama-cli $ref", ({ ref, server }) => {
  beforeEach(() => home.writeProfile("story", { extends: "demo", llama: { binary: server } }));

  test("answers what is typed, and ends with Ctrl-C", async () => {
    await using terminal = new Terminal(llmctlCommand(["chat", "story"]), home);
    await terminal.waitFor("\n> ");
    terminal.type("Hello\r");
    await terminal.waitFor("Hello!");
    await terminal.waitFor("Generation:");
    terminal.pressCtrlC();
    const { exitCode, output } = await terminal.ended;
    expect(output).toContain("Exiting...");
    expect(exitCode).toBe(0);
  });

  test("takes flags of its own, and hands back its exit code", async () => {
    await using turn = new Terminal(llmctlCommand(["chat", "story", "--", "--single-turn", "--prompt", "Hello"]), home);
    expect((await turn.ended).exitCode).toBe(0);
    expect(turn.output).toContain("Hello!");
    await using refused = new Terminal(llmctlCommand(["chat", "story", "--", "--no-such-flag"]), home);
    expect((await refused.ended).exitCode).toBe(1);
    expect(refused.output).toContain("invalid argument: --no-such-flag");
  });

  test("uses the server that runs already", async () => {
    const { url } = await upServing(home, "story");
    await using terminal = new Terminal(llmctlCommand(["chat", "story"]), home);
    await terminal.waitFor(`this is a chat with its server, ${url}`);
    await terminal.waitFor("\n> ");
    terminal.type("Hello\r");
    await terminal.waitFor("Hello!");
    terminal.type("/exit\r");
    expect((await terminal.ended).exitCode).toBe(0);
    expect(terminal.output.includes("available commands")).toBe(ref !== "b7698");
    await llmctl(["down", "story"], { home });
  });
});
