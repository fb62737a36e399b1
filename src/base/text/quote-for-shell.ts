import { escapeHidden } from "./printable.ts";

/** A word of a command line as a shell reads it back. */
export function quoteForShell(word: string): string {
  // zsh takes a leading equals sign for a command's path.
  return /^[\w@%+:,./-][\w@%+=:,./-]*$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

/**
 * The same in one line of characters that can be printed. Where that needs escapes, bash and zsh read it back, with a
 * locale of UTF-8.
 */
export function quoteForShellInLine(word: string): string {
  const text = word.replaceAll("\\", String.raw`\\`).replaceAll("'", String.raw`\'`);
  const escaped = escapeHidden(text, escapeChar);
  return escaped === text ? quoteForShell(word) : `$'${escaped}'`;
}

function escapeChar(char: string): string {
  const hex = (char.codePointAt(0) ?? 0).toString(16);
  return hex.length <= 4 ? String.raw`\u${hex.padStart(4, "0")}` : String.raw`\U${hex.padStart(8, "0")}`;
}
