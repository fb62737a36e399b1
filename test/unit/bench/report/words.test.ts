import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { describeCommand, describeDraft, flagGroups } from "../../../../src/bench/report/command-words.ts";
import { busyNote } from "../../../../src/bench/report/result-words.ts";
import { wrapText } from "../../../../src/bench/report/wrap-text.ts";

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
