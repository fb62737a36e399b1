import { realpath } from "node:fs/promises";
import { basename } from "node:path";
import { systemErrorCode } from "../../base/errors.ts";
import type { ReportedSetting } from "../bench-report.ts";
import type { BenchSetting } from "../servers/plan-setting.ts";

/** What a report says about a setting. @param loadMs Undefined when its server was not started. */
export async function reportSetting(
  { label, profile, launch }: BenchSetting,
  loadMs: number | undefined,
): Promise<ReportedSetting> {
  return {
    label,
    draft: profile.values.draft ?? null,
    command: { file: launch.file, args: launch.args },
    files: await Promise.all(
      launch.files.map(async ({ path, sizeBytes }) => ({ path, sizeBytes, sha256: await findDigest(path) })),
    ),
    loadMs: loadMs ?? null,
  };
}

/** In the cache of the Hub a file is a link to a blob, whose name is its digest. */
async function findDigest(path: string): Promise<string | null> {
  try {
    const name = basename(await realpath(path));
    return /^[0-9a-f]{64}$/.test(name) ? name : null;
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return null; // it was removed while it was measured
  }
}
