import { findPaths } from "../../base/files/paths.ts";
import { formatSize } from "../../base/text/units.ts";
import { readHubSettings } from "../../hub/http/hub-settings.ts";
import { readAllProfiles } from "../../models/all-profiles.ts";
import { listOutdated, type OutdatedModel } from "../../models/outdated-models.ts";
import { findLoadOptions, openProfiles } from "../options/context.ts";
import { interruptible } from "../screen/interruptible.ts";
import { jsonText } from "../screen/json-text.ts";
import { formatTable } from "../../base/text/table.ts";
import { TerminalReporter } from "../screen/pull-reporter.ts";
import { outputWidth, print } from "../screen/print.ts";

/**
 * `llmctl outdated`: shows the models of profiles for which the Hub has newer files.
 * @param names Of profiles; without names all profiles that can be read.
 */
export async function outdated(names: readonly string[], json: boolean): Promise<number> {
  const paths = findPaths();
  const profiles =
    names.length > 0
      ? await openProfiles(names, paths)
      : (await readAllProfiles(paths, findLoadOptions(paths))).profiles;
  const hub = readHubSettings(process.env);
  const { show: onEvent } = new TerminalReporter(process.stderr);
  const found = await interruptible((signal) => listOutdated(profiles, { paths, hub, signal, onEvent }));
  print(json ? jsonText(found) : formatOutdated(found));
  return 0;
}

function formatOutdated(found: readonly OutdatedModel[]): string {
  if (found.length === 0) return "all models are the newest ones\n";
  const short = (commit: string | null) => commit?.slice(0, 8) ?? "-";
  const rows = found.map(({ model, profiles, commit, newest, missingBytes }) => [
    model,
    profiles.join(", "),
    short(commit),
    short(newest),
    formatSize(missingBytes),
  ]);
  const heads = ["MODEL", "PROFILES", "HERE", "NEWEST", "TO FETCH"];
  const table = formatTable(heads, rows, outputWidth());
  const names = new Set(found.flatMap(({ profiles }) => profiles[0] ?? []));
  return `${table}move on with: llmctl pull --update ${[...names].join(" ")}\n`;
}
