import type { TokenTraffic } from "../../supervisor/launch.ts";

/*
 * Complete numbers with a length that can be true: twelve digits of milliseconds are thirty years. Anything else, such
 * as `1..5`, `nan` or `inf`, would turn every later sum into NaN.
 */
const integer = String.raw`\d{1,12}`;
const decimal = String.raw`\d{1,12}(?:\.\d{1,9})?`;

const evalTime = new RegExp(String.raw`(?<!prompt )eval time = +(${decimal}) ms \/ +(${integer}) (?:tokens|runs)`);

const acceptanceRate = String.raw`draft acceptance(?: rate)? = +${decimal}`;
const acceptedCounts = String.raw`\( *(${integer}) accepted \/ *(${integer}) generated\)`;
const meanLengthPart = String.raw`(?:, mean len = +(${decimal})(?![\d.]))?`;
const acceptance = new RegExp(`${acceptanceRate} ${acceptedCounts}${meanLengthPart}`);

const none: TokenTraffic = { tokens: 0, seconds: 0, draftTokens: 0, acceptedTokens: 0, drafts: 0, acceptedLengths: 0 };

/**
 * Parses the lines that llama-server logs at the end of each request, on every build and at its default verbosity. They
 * cost the server nothing, wake no sleeping model, and need neither `--metrics` nor `--slots`.
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
  // More accepted than drafted tokens would make a rate above 1.
  if (acceptedTokens > draftTokens) return undefined;
  const meanLength = drafted[3] === undefined ? 1 : Number(drafted[3]);
  // The mean length includes the target's own token of each step, so it is 1 when all drafts were rejected.
  const drafts = meanLength > 1 ? Math.min(Math.round(acceptedTokens / (meanLength - 1)), draftTokens) : 0;
  return { ...none, draftTokens, acceptedTokens, drafts, acceptedLengths: drafts * meanLength };
}
