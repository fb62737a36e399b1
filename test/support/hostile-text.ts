import fc from "fast-check";
import { joinPatterns } from "./join-patterns.ts";

/** Characters in foreign text that a terminal obeys, hides or reorders. */
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

/** All of them in one name that is valid in files, headers, YAML and JSON. */
export const hostileName = `n${hostileParts.join("-")}`;

/** Random text, mostly with some of these characters and halves of surrogate pairs. */
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

/** Characters that no output may contain. Joiners and selectors are missing here, since they have legitimate uses. */
const neverShown = joinPatterns(
  // oxlint-disable-next-line no-control-regex -- control characters are what this is about
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]|/u,
  /[\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e]|[\u2060-\u206f\ufeff\ufff9-\ufffb]|\p{Cs}/u,
);

/** The first character that a terminal would obey or hide, with the text around it; undefined when there is none. */
export function findHostile(text: string): string | undefined {
  const at = text.search(neverShown);
  return at < 0 ? undefined : JSON.stringify(text.slice(Math.max(0, at - 40), at + 20));
}
