/** A word of a command line as a shell reads it back. */
export function quoteForShell(word: string): string {
  // zsh takes a leading equals sign for a command's path.
  return /^[\w@%+:,./-][\w@%+=:,./-]*$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
