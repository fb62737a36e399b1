/** Names for a message: a listing that somebody else has made may have a hundred thousand, each of a kilobyte. */
export function listSome(names: readonly string[], most = 40, between = ", "): string {
  const shown = names
    .slice(0, most)
    .map((name) => (name.length > longestName ? `${name.slice(0, longestName)}…` : name));
  return names.length > most ? `${shown.join(between)} and ${names.length - most} more` : shown.join(between);
}

/** As long as a file's name can be. */
const longestName = 255;
