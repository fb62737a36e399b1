import { findPaths } from "../../base/files/paths.ts";
import { formatSize } from "../../base/text/units.ts";
import { findOptions } from "../../hub/find/find-model.ts";
import { readHubSettings } from "../../hub/http/hub-settings.ts";
import { planPull } from "../../hub/download/pull-model.ts";
import { describeRef } from "../../hub/find/describe-ref.ts";
import { openProfiles } from "../options/context.ts";
import { interruptible } from "../screen/interruptible.ts";
import { jsonText } from "../screen/json-text.ts";
import { listKnownModels, readAllProfiles } from "../../models/models-on-disk.ts";
import { TerminalReporter } from "./pull-reporter.ts";
import { formatTable } from "../screen/table.ts";

/** A model of which the Hub has other files now than those that are here. */
interface Outdated {
  readonly model: string;
  readonly profiles: readonly string[];
  /** Null when it is not known of which commit the files are. */
  readonly commit: string | null;
  /** Null for an address, which has no commits. */
  readonly newest: string | null;
  readonly missingBytes: number;
}

/**
 * Shows for which models of profiles the Hub has newer files; commits that change other files do not count.
 * @param names Of profiles; none means all.
 */
export async function outdated(names: readonly string[], json: boolean): Promise<number> {
  const paths = findPaths();
  const profiles = names.length > 0 ? await openProfiles(names, paths) : (await readAllProfiles(paths)).profiles;
  const models = await listKnownModels(profiles, paths);
  const reporter = new TerminalReporter(process.stderr);
  const shared = { hub: readHubSettings(process.env), update: true };
  const found = await interruptible(async (signal) => {
    const list: Outdated[] = [];
    for (const { ref, profiles: users, commit = null } of models) {
      const profile = profiles.find(({ name }) => name === users[0]);
      if (ref === undefined || profile === undefined) continue;
      const options = {
        ...findOptions(profile, paths),
        ...shared,
        signal,
      };
      const plan = await planPull(ref, {
        ...options,
        onProgress: (event) => event.kind !== "plan" && reporter.show({ ...event, model: "" }),
      });
      if (plan.kind === "fetch")
        list.push({
          model: describeRef(ref),
          profiles: users,
          commit,
          newest: plan.commit ?? null,
          missingBytes: plan.missingBytes,
        });
    }
    return list;
  });
  process.stdout.write(json ? jsonText(found) : formatOutdated(found));
  return 0;
}

function formatOutdated(found: readonly Outdated[]): string {
  if (found.length === 0) return "all models are the newest ones\n";
  const short = (commit: string | null) => commit?.slice(0, 8) ?? "-";
  const rows = found.map(({ model, profiles, commit, newest, missingBytes }) => [
    model,
    profiles.join(", "),
    short(commit),
    short(newest),
    formatSize(missingBytes),
  ]);
  const table = formatTable(
    ["MODEL", "PROFILES", "HERE", "NEWEST", "TO FETCH"],
    rows,
    process.stdout.columns ?? Infinity,
  );
  return `${table}move on with: llmctl pull --update ${[...new Set(found.flatMap(({ profiles }) => profiles[0] ?? []))].join(" ")}\n`;
}
