import type { TokenTraffic } from "../../supervisor/launch.ts";

/*
 * Numbers in full, and no longer than any that is true: twelve digits of milliseconds are thirty years. What else
 * stands there, such as `1..5`, `nan` or `inf`, would make every sum from then on no number.
 */
const evalTime = /(?<!prompt )eval time = +(\d{1,12}(?:\.\d{1,9})?) ms \/ +(\d{1,12}) (?:tokens|runs)/;
const acceptance =
  /draft acceptance(?: rate)? = +\d{1,12}(?:\.\d{1,9})? \( *(\d{1,12}) accepted \/ *(\d{1,12}) generated\)(?:, mean len = +(\d{1,12}(?:\.\d{1,9})?)(?![\d.]))?/;

const none: TokenTraffic = { tokens: 0, seconds: 0, draftTokens: 0, acceptedTokens: 0, drafts: 0, acceptedLengths: 0 };

/**
 * What llama-server logs at the end of each request, on every build and at its default verbosity: reading it costs the
 * server nothing, wakes no sleeping model, and needs neither `--metrics` nor `--slots`.
 * @returns undefined for any other line.
 * @see llama.cpp tools/server/server-context.cpp, print_timings
 */
export function parseTraffic(line: string): TokenTraffic | undefined {
  const speed = evalTime.exec(line);
  if (speed !== null) return { ...none, seconds: Number(speed[1]) / 1000, tokens: Number(speed[2]) };
  const drafted = acceptance.exec(line);
  if (drafted === null) return undefined;
  const acceptedTokens = Number(drafted[1]);
  const draftTokens = Number(drafted[2]);
  // More than were drafted would make a rate above 1.
  if (acceptedTokens > draftTokens) return undefined;
  const meanLength = drafted[3] === undefined ? 1 : Number(drafted[3]);
  // The mean length counts the target's own token of each step too; steps whose draft was wholly refused make it 1.
  const drafts = meanLength > 1 ? Math.min(Math.round(acceptedTokens / (meanLength - 1)), draftTokens) : 0;
  return { ...none, draftTokens, acceptedTokens, drafts, acceptedLengths: drafts * meanLength };
}
