/**
 * A text without the slashes at its end. By `/\/+$/` each slash before the end would be tried, and those after it
 * passed over again.
 */
export function trimTrailingSlashes(text: string): string {
  let end = text.length;
  while (text[end - 1] === "/") end -= 1;
  return text.slice(0, end);
}
