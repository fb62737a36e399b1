import { escapeHidden } from "./printable.ts";

/** Quotes a word of a command line for a shell. */
export function quoteForShell(word: string): string {
  // zsh expands a leading equals sign to the path of a command.
  return /^[\w@%+:,./-][\w@%+=:,./-]*$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

/**
 * As {@link quoteForShell}, on one line of printable characters. Where that needs escapes, bash and zsh read them in a
 * UTF-8 locale.
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
