import { findMemoryNeed } from "../../llama/plan/memory-need.ts";
import type { PlanSession } from "../../llama/plan/plan-session.ts";
import type { BenchSetting } from "../servers/plan-setting.ts";

const bytesPerMib = 2 ** 20;

/**
 * The memory that drafting takes beyond the same server without it: what the build says, else the size of the files
 * that only the drafting server reads, which is less than the truth.
 * @returns null where neither tells.
 */
export async function findDraftBytes(
  plain: BenchSetting,
  drafting: BenchSetting,
  session: PlanSession,
): Promise<number | null> {
  const [without, with_] = await Promise.all(
    [plain, drafting].map(async ({ profile }) => sumMib(await findMemoryNeed(profile, session))),
  );
  if (without !== undefined && with_ !== undefined && with_ > without) return (with_ - without) * bytesPerMib;
  const own = new Set(plain.launch.files.map(({ path }) => path));
  const bytes = drafting.launch.files.reduce((sum, { path, sizeBytes }) => sum + (own.has(path) ? 0 : sizeBytes), 0);
  return bytes === 0 ? null : bytes;
}

function sumMib(uses: readonly { readonly needsMib: number }[]): number | undefined {
  return uses.length === 0 ? undefined : uses.reduce((sum, { needsMib }) => sum + needsMib, 0);
}
