import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type CommandFix, describeFix, describeInLine, type Fix } from "../../../src/base/fix.ts";

describe("a fix as people read it", () => {
  test.each<[Fix, string]>([
    ["check the path", "check the path"],
    [{ run: ["pull", "coder"] }, 'run "llmctl pull coder"'],
    [{ run: ["ps"], before: "see", after: "for what runs" }, 'see "llmctl ps" for what runs'],
    [{ run: ["profile", "show", "x"], before: "", after: "says it" }, '"llmctl profile show x" says it'],
    [{ run: ["down", "a b"], before: "stop it first:" }, "stop it first: llmctl down 'a b'"],
    [{ run: ["down", "=x", "a=b"] }, "run \"llmctl down '=x' a=b\""],
    [{ run: ["ps"], before: "see who:", after: "now" }, 'see who: "llmctl ps" now'],
    [{ run: ["ps"], after: "; stop it" }, 'run "llmctl ps"; stop it'],
    [
      { run: ["build"], or: "name another file in llama.binary" },
      'run "llmctl build", or name another file in llama.binary',
    ],
    [
      { run: ["up", "-d", "x"], before: "take it over with", or: { run: ["down", "x"], before: "stop it with" } },
      'take it over with "llmctl up -d x", or stop it with "llmctl down x"',
    ],
    [{ run: ["down", "x"], andThen: { run: ["up", "x"] } }, 'run "llmctl down x", then run "llmctl up x"'],
  ])("%j", (fix, text) => {
    expect(describeFix(fix)).toBe(text);
  });

  test("follows its problem when there is only one line", () => {
    expect(describeInLine({ message: "it is gone", fix: { run: ["up", "x"] } })).toBe('it is gone; run "llmctl up x"');
    expect(describeInLine({ message: "it is gone" })).toBe("it is gone");
  });
});

test("a shell reads the command's words back, whatever is in them", () => {
  const odd = fc.constantFrom(
    "$HOME",
    "`id`",
    "a b",
    "it's",
    '"',
    "\\",
    "\n",
    "*",
    "~",
    "",
    "-x",
    "a;b",
    "é",
    "!!",
    "#",
    "&",
    "<(x)",
    "{a,b}",
  );
  const word = fc.oneof(odd, fc.string({ unit: "grapheme" })).map((text) => text.replaceAll("\0", ""));
  const words = fc.array(fc.array(word, { minLength: 1, maxLength: 4 }), { minLength: 100, maxLength: 100 });
  fc.assert(
    fc.property(words, (commands) => {
      const lines = commands.map((run) => `printf '%s\\0' ${commandOf({ run })}; printf '\\0\\1\\0'`);
      const read = execFileSync("sh", ["-c", lines.join("\n")], { encoding: "utf8" });
      const each = read.split("\0\0\x01\0").map((text) => text.split("\0"));
      expect(each.slice(0, -1)).toEqual(commands.map((run) => ["llmctl", ...run]));
    }),
    { numRuns: 5 },
  );
});

/** The text between the outer quotes. */
function commandOf(fix: CommandFix): string {
  const [, command = ""] = /^run "(.*)"$/s.exec(describeFix(fix)) ?? [];
  return command;
}
