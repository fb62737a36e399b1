import { printableJson } from "../../base/text/printable.ts";

/** The user's own words in quotes, safe to print: control characters escaped, long text shortened. */
export function quote(text: string): string {
  return printableJson(text.length <= 60 ? text : `${text.slice(0, 59)}…`);
}

/** `a`, `a or b`, `a, b or c`. */
export function joinOr(words: readonly string[]): string {
  const last = words.at(-1) ?? "";
  return words.length < 2 ? last : `${words.slice(0, -1).join(", ")} or ${last}`;
}
