import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import {
  printable,
  printableJson,
  printableLine,
  printableName,
  printableSentence,
  shorten,
} from "../../../../src/base/text/printable.ts";
import { quoteForShellInLine } from "../../../../src/base/text/quote-for-shell.ts";
import { writeYaml } from "../../../../src/base/text/yaml-text.ts";
import { findHostile, hostileParts, hostileText } from "../../../support/hostile-text.ts";

describe("characters that a terminal obeys or hides are made visible", () => {
  test.each([
    ["a sequence", "\u001b[31m", String.raw`\x1b[31m`],
    ["a sequence in one byte of Latin-1", "\u009b2J", String.raw`\x9b2J`],
    ["a mark of annotations, which not every renderer hides", "a\ufff9b", String.raw`a\ufff9b`],
    ["delete", "\u007f", String.raw`\x7f`],
    ["a carriage return, which would write over the line", "good\rbad", String.raw`good\rbad`],
    ["turns of the direction", "\u202e\u2066\u200f\u061c", String.raw`\u202e\u2066\u200f\u061c`],
    ["what has no width", "a\u200bb\u2060c\ufeffd\u00ade", String.raw`a\u200bb\u2060c\ufeffd\xade`],
    ["joiners and selectors where they join nothing", "ad\u200cm\u200din\ufe0f", String.raw`ad\u200cm\u200din\ufe0f`],
    ["separators of lines and paragraphs", "\u2028\u2029", String.raw`\u2028\u2029`],
    ["tag characters", "\u{e0041}", String.raw`\U000e0041`],
    ["selectors that carry data", "🙂\ufe0f\ufe01\u{e0102}", `🙂\ufe0f${String.raw`\ufe01\U000e0102`}`],
    ["letters that are drawn as nothing", "\u3164\u115f", String.raw`\u3164\u115f`],
    ["half of a pair", "\ud83d!", String.raw`\ud83d!`],
  ])("%s", (_, text, shown) => {
    expect(printable(text)).toBe(shown);
    expect(printableLine(text)).toBe(shown);
  });

  test("newlines and tabs in a line, but not in a block", () => {
    expect(printableLine("a\n\tb\r\n")).toBe(String.raw`a\n\tb\r\n`);
    expect(printable("a\n\tb\r\n")).toBe("a\n\tb\n");
  });

  test("none is left in any text", () => {
    fc.assert(
      fc.property(hostileText, (text) => {
        expect(findHostile(printable(text))).toBeUndefined();
        expect(findHostile(printableLine(text))).toBeUndefined();
        expect(printableLine(text)).not.toMatch(/[\n\t]/);
        // An escaped text is not escaped again.
        expect(printable(printable(text))).toBe(printable(text));
      }),
      { numRuns: 500 },
    );
  });
});

test.each([
  "plain ASCII ~ \\ \"quoted\" 'text'",
  "naïve Ελληνικά Русский 日本語 한국어 ไทย",
  "עברית العربية ١٢٣",
  "می‌خواهم क्‍ष ශ්‍රී ക്‍",
  "e\u0301 葛\u{e0100}",
  "👩‍💻 👨‍👩‍👧‍👦 ❤️ 1️⃣ 👍🏽 🏳️‍🌈 👩🏽‍🚀 🇨🇭 🏴󠁧󠁢󠁥󠁮󠁧󠁿",
])("%s stays as it is", (text) => {
  expect(printable(text)).toBe(text);
  expect(printableLine(text)).toBe(text);
  expect(printableJson(text)).toBe(JSON.stringify(text));
});

describe("a long text", () => {
  test("keeps its beginning and its end", () => {
    expect(shorten(`${"a".repeat(500)}${"z".repeat(500)}`, 10)).toBe("aaaaaa…zzz");
    expect(shorten("short", 5)).toBe("short");
  });

  test("is not cut within a surrogate pair", () => {
    for (let most = 10; most < 20; most += 1)
      expect(printableLine(shorten("😀".repeat(100), most))).not.toContain("\\u");
  });

  test("of megabytes is cut to a name or a sentence", () => {
    const megabytes = "\u001b".repeat(2e6);
    expect(printableName(megabytes).length).toBeLessThan(2000);
    expect(printableSentence(megabytes).length).toBeLessThan(10_000);
  });
});

describe("in a language with escapes the value is exact", () => {
  test("in JSON", () => {
    fc.assert(
      fc.property(hostileText, hostileText, (key, text) => {
        const json = printableJson({ [key]: [text, 1, null] }, 2);
        expect(JSON.parse(json)).toEqual({ [key]: [text, 1, null] });
        expect(findHostile(json)).toBeUndefined();
      }),
      { numRuns: 200 },
    );
  });

  test("in YAML, which cannot hold half a pair", () => {
    fc.assert(
      fc.property(
        hostileText.map((text) => Buffer.from(text).toString()),
        hostileText.map((text) => Buffer.from(text).toString()),
        fc.constantFrom("1.1", "1.2" as const),
        (key, text, version) => {
          const value = { a: text, map: { [`k${key}`]: [text] } };
          const yaml = writeYaml(value, version);
          expect(parse(yaml, { version })).toEqual(value);
          expect(findHostile(yaml)).toBeUndefined();
        },
      ),
      { numRuns: 200 },
    );
  });

  test("for a shell that knows escapes, in one line", () => {
    const words = [
      ...hostileParts,
      "it's",
      String.raw`\x9b`,
      String.raw`\'`,
      "a\n\tb",
      "plain",
      "a b",
      String.raw`\ `,
      "",
      "é😀",
    ];
    const all = words.flatMap((one) => [one, `${one}'\\${one}`]);
    const quoted = all.map(quoteForShellInLine);
    for (const word of quoted) {
      expect(findHostile(word)).toBeUndefined();
      expect(word).not.toMatch(/[\n\t]/);
    }
    const env = { PATH: process.env["PATH"], LC_ALL: "C.UTF-8" };
    const script = `printf '%s\\0' ${quoted.join(" ")}`;
    const said = execFileSync("bash", ["--norc", "-c", script], { encoding: "utf8", env });
    expect(said.split("\0")).toEqual([...all, ""]);
  });
});
