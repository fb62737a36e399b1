import { z } from "zod";
import { stateNames, type Status } from "./messages.ts";

const text = z.string().max(10_000);
const count = z.number().min(0);
const rate = z.number().nullable();
/** A fix of more than one step loses the others: a foreign text is to be read, not run. */
const fix = z.union([text, z.object({ run: z.array(text).max(100), before: text.optional(), after: text.optional() })]);
const cause = z.object({ kind: text, message: text, fix: fix.nullable() });
const time = z.iso.datetime();

const traffic = z.object({
  tokens: count,
  draftTokens: count,
  acceptedTokens: count,
  acceptanceRate: rate,
  tokensPerSecond: rate,
  meanAcceptedLength: rate,
});

const schema = z.object({
  version: z.literal(1),
  name: text,
  state: z.enum(stateNames),
  since: time,
  url: text.nullable(),
  pid: z.int().min(1).nullable(),
  supervisorPid: z.int().min(0),
  llmctl: text.optional(),
  launchVersion: count.optional(),
  drafting: z.discriminatedUnion("state", [
    z.object({ state: z.literal("off"), reason: text }),
    z.object({ state: z.literal("unproven") }),
    z.object({ state: z.literal("on"), draftTokens: count, acceptedTokens: count }),
  ]),
  tokensPerSecond: rate,
  baselineTokensPerSecond: rate,
  traffic: z.object({ sinceStart: traffic, lastTenMinutes: traffic }).nullable(),
  loadMs: count.nullable(),
  load: z.object({ doneBytes: count, totalBytes: count }).nullable(),
  runs: count,
  restarts: count,
  restartsByCause: z.record(text, count),
  startedAt: time.nullable(),
  lastExit: cause.extend({ time }).nullable(),
  waitingFor: cause.nullable().optional(),
  retryInMs: count.nullable(),
  build: text,
  command: z.object({ file: text, args: z.array(text).max(1000) }).optional(),
  profile: text,
  dependsOn: z.array(text).max(1000).default([]),
  hash: text,
  log: text,
  warnings: z.array(text).max(1000),
});

/**
 * A status from a socket or a file of another user's: only what has the shape of one, without anything else.
 * @returns undefined where it is none, or another profile's.
 */
export function checkStatus(value: unknown, name: string): Status | undefined {
  const { data } = schema.safeParse(value);
  return data?.name === name ? (data as Status) : undefined;
}
