import { createTwoFilesPatch } from "diff";

/**
 * What a change does to a text, as `diff -u` shows it, with three lines around each change.
 * @param path Of the file that the text is from.
 * @returns an empty text where nothing changes.
 */
export function diffText(path: string, before: string, after: string): string {
  if (before === after) return "";
  const patch = createTwoFilesPatch(path, "as it would be", before, after, undefined, undefined, { context: 3 });
  // The line of equals signs belongs to the format of another program.
  return patch.replace(/^=+\n/, "");
}
