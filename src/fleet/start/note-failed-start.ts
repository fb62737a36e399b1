import { resolve } from "node:path";
import { LlmctlError } from "../../base/errors.ts";
import type { Paths } from "../../base/files/paths.ts";
import { profileNamePattern } from "../../base/text/profile-name.ts";
import { explainPlanFailure } from "../../llama/plan/plan-failure.ts";
import { profileName } from "../../profiles/find.ts";
import { recordFailedStart } from "../../supervisor/failed-start.ts";
import type { ExitCause } from "../../supervisor/launch.ts";

interface NoteOptions {
  readonly paths: Paths;
  /** Told what cannot be written. */
  readonly warn: (text: string) => void;
}

/**
 * Runs a start that nobody watches, and records its failure, so that `systemd status` and `events` can tell it.
 * @throws what the action throws.
 */
export async function noteFailedStart<T>(
  nameOrPath: string,
  { paths, warn }: NoteOptions,
  action: () => Promise<T>,
): Promise<T> {
  try {
    return await action();
  } catch (error) {
    const name = profileName(nameOrPath);
    if (!profileNamePattern.test(name)) throw error;
    try {
      const cause = explainFailedStart(error);
      await recordFailedStart(paths, { name, profilePath: resolve(nameOrPath), cause }, warn);
    } catch (unrecorded) {
      warn(`cannot note that "${name}" did not start: ${String(unrecorded)}`);
    }
    throw error;
  }
}

function explainFailedStart(error: unknown): ExitCause {
  const cause = explainPlanFailure(error) ?? {
    kind: "internal-error",
    message: String(error),
    permanent: true,
    exit: "bug",
  };
  if (!(error instanceof LlmctlError)) return cause;
  const more = error.problems.length - 1;
  const place = error.at === undefined ? "" : ` (${error.at})`;
  return { ...cause, message: `${cause.message}${place}${more === 0 ? "" : `, and ${more} more`}` };
}
