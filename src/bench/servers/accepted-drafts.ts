import { type DraftCounters, parseDraftCounters } from "../../llama/server/draft-counters.ts";
import { readMetrics } from "../../llama/server/server-http.ts";
import type { BenchServer } from "./bench-server.ts";
import type { BenchSetting } from "./plan-setting.ts";

/** What a server has drafted so far; undefined on builds that do not tell. */
export async function readDrafted(
  { launch }: BenchSetting,
  { endpoint }: BenchServer,
  signal: AbortSignal,
): Promise<DraftCounters | undefined> {
  return parseDraftCounters((await readMetrics(launch, endpoint, signal)) ?? "");
}

/**
 * Share of drafts whose first `i + 1` tokens were accepted, 0..1.
 * @param proved What was drafted before the measurements, to prove the drafting.
 * @returns null where nothing was drafted since, or where the build does not tell.
 */
export function shareByPosition(
  now: DraftCounters | undefined,
  proved: DraftCounters | undefined,
): readonly number[] | null {
  const drafts = (now?.drafts ?? 0) - (proved?.drafts ?? 0);
  if (now === undefined || drafts <= 0) return null;
  const shares = now.acceptedByPosition.map((count, index) => count - (proved?.acceptedByPosition[index] ?? 0));
  return shares.map((count) => Math.min(1, Math.max(0, count / drafts)));
}
