/**
 * The first names of a list, for a message: a list from others may have a hundred thousand names of a kilobyte each.
 */
export function listSome(names: readonly string[], most = 40, between = ", "): string {
  const shown = names
    .slice(0, most)
    .map((name) => (name.length > longestName ? `${name.slice(0, longestName)}…` : name));
  return names.length > most ? `${shown.join(between)} and ${names.length - most} more` : shown.join(between);
}

/** As long as a file's name can be. */
const longestName = 255;
