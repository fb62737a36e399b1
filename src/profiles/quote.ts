/** The user's own words in quotes, safe to print: control characters escaped, long text cut. */
export function quote(text: string): string {
  // JSON leaves DEL and the C1 controls as they are; terminals obey some of them.
  const safe = (part: string) =>
    JSON.stringify(part).replace(/[\u007f-\u009f\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return safe(text.length <= 60 ? text : `${text.slice(0, 59)}…`);
}

/** `a`, `a or b`, `a, b or c`. */
export function joinOr(words: readonly string[]): string {
  const last = words.at(-1) ?? "";
  return words.length < 2 ? last : `${words.slice(0, -1).join(", ")} or ${last}`;
}
