import fc from "fast-check";

/** What a terminal obeys, hides or turns around, in a text of others. */
export const hostileParts = [
  "\u001b[31;8m",
  "\u001b]0;title\u0007",
  "\u001b[2J\u001b[H",
  "\u009b35m",
  "\u0085",
  "\b\b\b",
  "\r",
  "\u007f",
  "\u202etxt.\u202c",
  "\u2066x\u2069",
  "\u200e\u200f\u061c",
  "\u200b\u2060",
  "a\u200db",
  "\u2028\u2029",
  "\ufeff",
  "\u{e0041}\u{e007f}",
];

/** All of them, as one name that files, headers, YAML and JSON can carry. */
export const hostileName = `n${hostileParts.join("-")}`;

/** Any text, most of which has some of them, and halves of surrogate pairs. */
export const hostileText: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      fc.constantFrom(...hostileParts, "\n", "\t", "\0", "\ud800", "\udc00", "\\", '"', "'", "#", "👩‍💻", "می‌خواهم"),
      fc.string({ unit: "binary", maxLength: 5 }),
      fc.string({ unit: "grapheme", maxLength: 5 }),
    ),
    { maxLength: 8 },
  )
  .map((parts) => parts.join(""));

/** What no output may hold. Joiners and selectors are left out: they have a sense in some places. */
const neverShown =
  // oxlint-disable-next-line no-control-regex -- control characters are what this is about
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|\p{Cs}/u;

/** The first character that a terminal would obey or hide, with what is around it; undefined where all is well. */
export function findHostile(text: string): string | undefined {
  const at = text.search(neverShown);
  return at < 0 ? undefined : JSON.stringify(text.slice(Math.max(0, at - 40), at + 20));
}
