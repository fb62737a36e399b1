import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { expect, test } from "vitest";
import { checkout } from "../../support/checkout.ts";

const src = join(checkout, "src");

/** Texts that name an llmctl command but are no fix for this machine, or no fix with a single command. */
const reasons: readonly { readonly text: string; readonly reason: string }[] = [
  { text: 'see on its machine why: "llmctl ps"', reason: "it is to be run on another machine" },
  { text: 'run "llmctl ps" on the worker', reason: "it is to be run on another machine" },
  { text: 'start it on its machine: "llmctl up"', reason: "it is to be run on another machine" },
  { text: "run llmctl as that user", reason: "the same command, but by somebody else" },
  { text: "run llmctl as its owner", reason: "the same command, but by somebody else" },
  { text: "if it runs in a container, run llmctl there", reason: "the same command, but elsewhere" },
  { text: `supervision.down('"llmctl upgrade"')`, reason: "who asks, with no problem" },
  { text: 'as "llmctl systemd show" does', reason: "an example to read; the fix is the limits" },
  { text: "llmctl profile schema", reason: "a comment in a new profile" },
  { text: '"llmctl profile show" prints every value', reason: "a comment in a new profile" },
  { text: '"llmctl restart ${', reason: "a note about a change, with no problem" },
  {
    text: "goes on loading in the background; stop it: llmctl down ${name}",
    reason: "a note at Ctrl-C, with no problem",
  },
  { text: 'after "llmctl up ${profile.name} -d", chat uses the server', reason: "a note, with no problem" },
  { text: "full log: llmctl logs ${status.name}", reason: "where, not what to do" },
  { text: "next: llmctl profile edit ${source.name}", reason: "what to do with a profile that is well" },
  { text: "move on with: llmctl pull --update", reason: "below a table, with no problem" },
  { text: "go back to ${before.id}: llmctl upgrade --rollback", reason: "a note, with no problem" },
  { text: 'no build of llama.cpp is installed; run "llmctl build"', reason: "an empty list, with no problem" },
  { text: 'differs from what "llmctl systemd install ${name}" would write', reason: "what a unit is compared with" },
  { text: "const title = `llmctl profile ${name}", reason: "the title of a container" },
  { text: "${result}; llmctl tune`", reason: "a comment in a profile" },
  { text: "const ownComment = ", reason: "the pattern of that comment" },
  { text: "llmctl check [options] <target> <draft>", reason: "usage" },
  { text: "llmctl bench --compare A.json B.json", reason: "usage" },
  { text: "origin: `llmctl bench ${profile} ·", reason: "where a page comes from" },
  { text: "origin: `llmctl tune ${profile} ·", reason: "where a page comes from" },
];

/** Words that follow the program's name in prose about it. */
const verbs = "does|finds|reads|asks|was|is|itself|runs|services|keeps|that|read it";
const prose = new RegExp(String.raw`llmctl (?:${verbs})\b|this llmctl\b|the newest that llmctl\b`);

test("no text spells an llmctl command that is a fix: such a fix is data", () => {
  const spelled = listSources(src).flatMap((path) =>
    linesOf(readFileSync(path, "utf8"))
      .filter(isSpelled)
      .map((text) => `${relative(src, path)}: ${text}`),
  );
  expect(spelled).toEqual([]);
});

test("every listed text still exists", () => {
  const all = listSources(src).flatMap((path) => linesOf(readFileSync(path, "utf8")));
  expect(reasons.filter(({ text }) => !all.some((one) => one.includes(text)))).toEqual([]);
});

test.each([
  'fix: `run "llmctl pull ${name}"`',
  "fix: 'see \"llmctl ps\" for what runs'",
  'const fix = "build it: llmctl build"',
])("%s is found", (line) => {
  expect(linesOf(line).filter(isSpelled)).toHaveLength(1);
});

function isSpelled(text: string): boolean {
  return /\bllmctl [a-z-]/.test(text) && !prose.test(text) && !reasons.some((listed) => text.includes(listed.text));
}

function listSources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(folder, name));
}

/** The lines of a file that are code. */
function linesOf(code: string): string[] {
  return code
    .split("\n")
    .map((line) => line.replace(/(?<=\s)\/\/ .*$/, "").trim())
    .filter((line) => !/^(?:\/\/|\/?\*)/.test(line));
}
