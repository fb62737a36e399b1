import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { describeCommand, describeDraft, flagGroups } from "../../../../src/bench/report/command-words.ts";
import {
  countOf,
  formatChange,
  formatChangeInterval,
  formatCount,
  formatEstimate,
  formatInterval,
  formatMemory,
  formatMoment,
  formatMs,
  formatRatio,
  formatShare,
  formatSpeed,
} from "../../../../src/bench/report/number-words.ts";
import { busyNote } from "../../../../src/bench/report/result-limits.ts";
import { wrapText } from "../../../../src/bench/report/wrap-text.ts";

describe("numbers for people", () => {
  test.each([
    [formatRatio(1.314), "1.31 ×"],
    [formatRatio(0.0123), "0.012 ×"],
    [formatRatio(48.26), "48.3 ×"],
    [formatRatio(480.6), "481 ×"],
    [formatRatio(0), "0.00 ×"],
    [formatInterval({ low: 1.24, high: 1.38 }), "1.24 to 1.38"],
    [formatInterval({ low: 1.0021, high: 1.38 }), "1.002 to 1.380"],
    [formatInterval({ low: 0.9, high: 0.9981 }), "0.900 to 0.998"],
    [formatInterval({ low: 1, high: 20 }), "1.00 to 20.0"],
    [formatInterval({ low: 1.001, high: 20 }), "1.001 to 20.0"],
    [formatEstimate({ ratio: 1.3, low: 1.2, high: 1.4, prompts: 9 }), "1.30 × (1.20 to 1.40)"],
    [formatChange(1.04), "+4 %"],
    [formatChange(0.88), "−12 %"],
    [formatChange(1.004), "± 0 %"],
    [formatChangeInterval({ low: 0.98, high: 1.1 }), "−2 % to +10 %"],
    [formatShare(0.756), "76 %"],
    [formatShare(0.0314), "3.1 %"],
    [formatShare(0), "0 %"],
    [formatShare(1), "100 %"],
    [formatSpeed(4.8349), "4.83"],
    [formatSpeed(48.349), "48.3"],
    [formatSpeed(483.49), "483"],
    [formatMs(12.34), "12.3"],
    [formatMs(1234.5), "1235"],
    [formatCount(999), "999"],
    [formatCount(1234567), "1\u202f234\u202f567"],
    [countOf(1, "prompt"), "1 prompt"],
    [countOf(0, "prompt"), "0 prompts"],
    [formatMemory(702_545_920), "670 MiB"],
    [formatMemory(1_288_490_188), "1.2 GiB"],
    [formatMoment("2026-11-29T07:43:12.345Z"), "2026-11-29 07:43 UTC"],
    [formatMoment("yesterday"), "yesterday"],
  ])("%s", (text, expected) => {
    expect(text).toBe(expected);
  });
});

describe("a command", () => {
  test("has each flag with its values on a line of its own, quoted for a shell", () => {
    const args = ["--model", "/a b/x.gguf", "-t", "1", "--seed", "-1", "--list", "a", "b", "--jinja"];
    expect(describeCommand({ file: "/bin/llama server", args })).toBe(
      "'/bin/llama server' \\\n  --model '/a b/x.gguf' \\\n  -t 1 \\\n  --seed -1 \\\n  --list a b \\\n  --jinja",
    );
  });

  test("loses no argument in groups of flags", () => {
    const words = fc.array(fc.oneof(fc.string(), fc.constantFrom("--flag", "-f", "-1", "")));
    fc.assert(
      fc.property(words, (args) => {
        expect(flagGroups(args).flat()).toEqual(args);
      }),
    );
  });

  test("keys of a draft are listed with their values, without those that are not set", () => {
    expect(describeDraft({ type: "draft-simple", n_max: 4, model: null, devices: ["CUDA0"], on: undefined })).toBe(
      'type draft-simple, n_max 4, devices ["CUDA0"]',
    );
  });
});

describe("wrapped text", () => {
  test("breaks between words, and indents what follows a lead", () => {
    expect(wrapText("one two three four", 14, "note: ")).toBe("note: one two\n      three\n      four\n");
  });

  test("cuts a word that is longer than a line, but no character", () => {
    expect(wrapText("a 👩👩👩 bc", 4)).toBe("a\n👩👩\n👩\nbc\n");
  });

  test("is one line without a width", () => {
    expect(wrapText("one two", Infinity)).toBe("one two\n");
  });

  test("keeps every word in its order", () => {
    const words = fc.array(fc.stringMatching(/^[a-z]{1,9}$/), { minLength: 1 });
    fc.assert(
      fc.property(words, fc.integer({ min: 9, max: 60 }), (list, width) => {
        const lines = wrapText(list.join(" "), width).trimEnd().split("\n");
        expect(lines.join(" ")).toBe(list.join(" "));
        expect(lines.filter((line) => line.length > width)).toEqual([]);
        // No line has room for the first word of the next one.
        const tooShort = lines.slice(1).filter((line, at) => {
          const [first = ""] = line.split(" ");
          return (lines[at] ?? "").length + 1 + first.length <= width;
        });
        expect(tooShort).toEqual([]);
      }),
    );
  });
});

describe("a busy machine", () => {
  test.each([
    [null, undefined],
    [0.09, undefined],
    [
      0.1,
      "The servers waited for a processor for 10 % of the time. Processor time was compared, which that changes " +
        "little.",
    ],
  ])("a share of waiting of %s", (waitShare, note) => {
    expect(busyNote({ waitShare, timing: "cpu" })).toBe(note);
  });
});
