/** One pattern out of the parts of a long one, with the flags of the first part. */
export function joinPatterns(...parts: readonly [RegExp, ...RegExp[]]): RegExp {
  return new RegExp(parts.map((part) => part.source).join(""), parts[0].flags);
}
