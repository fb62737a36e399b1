import { expect, test } from "vitest";
import { describeDiff, diffCommands } from "../../../../src/cli/look/plan-diff.ts";

const running = {
  command: { file: "/b/llama-server", args: ["--model", "m.gguf", "--threads", "-1", "--jinja"] },
  hash: "a",
};
const flags = [["--model", "m.gguf"], ["--threads", "-1"], ["--jinja"]];

test("the command that runs does not differ from itself", () => {
  const diff = diffCommands(running, { file: "/b/llama-server", flags, hash: "a" });
  expect(diff).toEqual({ removed: [], added: [], otherSettings: false });
  expect(describeDiff("p", diff)).toBe('"p" runs as planned\n');
});

test("a flag with its value is one change; a negative number is a value", () => {
  const diff = diffCommands(running, {
    file: "/b/llama-server",
    flags: [
      ["--model", "m.gguf"],
      ["--threads", "-1"],
      ["--threads", "8"],
      ["--alias", "a b"],
    ],
    hash: "b",
  });
  expect(diff).toEqual({
    removed: [["--jinja"]],
    added: [
      ["--threads", "8"],
      ["--alias", "a b"],
    ],
    otherSettings: false,
  });
  expect(describeDiff("p", diff).split("\n").slice(1)).toEqual(["- --jinja", "+ --threads 8", "+ --alias 'a b'", ""]);
});

test("another program is a change", () => {
  const diff = diffCommands(running, { file: "/c/llama-server", flags, hash: "b" });
  expect(diff.file).toEqual({ from: "/b/llama-server", to: "/c/llama-server" });
  expect(describeDiff("p", diff)).toContain("- /b/llama-server\n+ /c/llama-server\n");
});

test("settings that are not on the command line are shown", () => {
  const diff = diffCommands(running, { file: "/b/llama-server", flags, hash: "b" });
  expect(diff.otherSettings).toBe(true);
  expect(describeDiff("p", diff)).toContain('"llmctl restart p" takes it up');
});
