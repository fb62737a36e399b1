/**
 * Characters that end a line, control a terminal or are not text: C0, DEL and C1, separators of lines and paragraphs,
 * halves of surrogate pairs, which no file can hold, and noncharacters, for which systemd drops a line. A reader may
 * take any of them for the end of a value.
 */
export const controlCharacter = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\p{NChar}]/u;

/** A character as people look it up: `U+000A`. */
export function nameCharacter(character: string): string {
  return `U+${codeOf(character).toString(16).toUpperCase().padStart(4, "0")}`;
}

/** Prose on one line: line breaks, control characters and noncharacters become single spaces. */
export function toOneLine(text: string): string {
  return text.replaceAll(/[\s\p{Cc}\p{Zl}\p{Zp}\p{Cs}\p{NChar}]+/gu, " ").trim();
}

/**
 * As {@link toOneLine}, without trailing backslashes: after one, some readers take the next line as a continuation, and
 * they have no escape for it.
 */
export function toClosedLine(text: string): string {
  const line = toOneLine(text);
  let end = line.length;
  while (end > 0 && " \\".includes(line.charAt(end - 1))) end -= 1;
  return line.slice(0, end);
}

/** The number of a character of one code point. */
export function codeOf(character: string): number {
  return character.codePointAt(0) ?? 0;
}
