import { listSome } from "../../base/text/list-some.ts";
import type { BenchReport, ReportedSetting } from "../bench-report.ts";
import { describeDraft, flagGroups } from "./command-words.ts";
import { busyNote } from "./result-words.ts";
import { countOf, formatMemory } from "../number-words.ts";

/** What differs between two reports besides the speeds, for people. */
export function reportDifferences(before: BenchReport, after: BenchReport): string[] {
  return [
    ...changed("the profile", before.profile, after.profile),
    ...changed("llmctl", before.llmctl, after.llmctl),
    ...changed("the build", before.build, after.build),
    ...machineDifferences(before.machine, after.machine),
    ...changed("the number of requests at once", String(before.concurrency), String(after.concurrency)),
    ...(before.timing === after.timing
      ? []
      : [`the time that counts differs: ${before.timing}, now ${after.timing}; wall-clock time is compared here`]),
    ...promptDifferences(before.prompts, after.prompts),
    ...settingDifferences(before, after),
    ...[before, after].flatMap((report, index) => {
      const busy = busyNote(report);
      return busy === undefined ? [] : [`the machine was busy in the ${index === 0 ? "first" : "second"} report`];
    }),
  ];
}

function changed(what: string, before: string, after: string): string[] {
  return before === after ? [] : [`${what} differs: ${before}, now ${after}`];
}

function machineDifferences(before: BenchReport["machine"], after: BenchReport["machine"]): string[] {
  const devices = ({ devices: all }: BenchReport["machine"]) => (all.length === 0 ? "none" : listSome(all, 8));
  return [
    ...changed("the processor", before.processor, after.processor),
    ...changed("the number of processors", String(before.processors), String(after.processors)),
    ...changed("the memory", formatMemory(before.memoryBytes), formatMemory(after.memoryBytes)),
    ...changed("the list of devices", devices(before), devices(after)),
    ...changed("the system", before.system, after.system),
  ];
}

function promptDifferences(before: BenchReport["prompts"], after: BenchReport["prompts"]): string[] {
  const missing = (of: BenchReport["prompts"], from: BenchReport["prompts"]) => {
    const ids = new Set(from.map(({ id }) => id));
    return of.filter(({ id }) => !ids.has(id)).length;
  };
  const [gone, added] = [missing(before, after), missing(after, before)];
  return [
    ...(gone === 0 ? [] : [`${countOf(gone, "prompt")} of the first report ${isOrAre(gone)} not in the second`]),
    ...(added === 0 ? [] : [`${countOf(added, "prompt")} of the second report ${isOrAre(added)} not in the first`]),
  ];
}

function isOrAre(count: number): string {
  return count === 1 ? "is" : "are";
}

function settingDifferences(before: BenchReport, after: BenchReport): string[] {
  const old = new Map(before.settings.map((setting) => [setting.label, setting]));
  const gone = before.settings.filter(({ label }) => after.settings.every((setting) => setting.label !== label));
  return [
    ...gone.map(({ label }) => `"${label}" is only in the first report`),
    ...after.settings.flatMap((setting) => {
      const earlier = old.get(setting.label);
      return earlier === undefined
        ? [`"${setting.label}" is only in the second report`]
        : oneSettingDifferences(earlier, setting);
    }),
  ];
}

function oneSettingDifferences(before: ReportedSetting, after: ReportedSetting): string[] {
  const what = `"${after.label}"`;
  const draft = ({ draft: keys }: ReportedSetting) => (keys === null ? "none" : describeDraft(keys));
  return [
    ...changed(`the drafting of ${what}`, draft(before), draft(after)),
    ...changed(`the program of ${what}`, before.command.file, after.command.file),
    ...listDifference(`the flags of ${what}`, flagTexts(before), flagTexts(after)),
    ...listDifference(`the files of ${what}`, fileTexts(before), fileTexts(after)),
  ];
}

/** The port is another free one each time. */
function flagTexts({ command }: ReportedSetting): string[] {
  return flagGroups(command.args)
    .filter(([flag]) => flag !== "--port")
    .map((group) => group.join(" "));
}

function fileTexts({ files }: ReportedSetting): string[] {
  return files.map(({ path, sizeBytes, sha256 }) => `${path} (${sizeBytes} bytes, SHA-256 ${sha256 ?? "not known"})`);
}

function listDifference(what: string, before: readonly string[], after: readonly string[]): string[] {
  const [gone, added] = [without(before, after), without(after, before)];
  if (gone.length === 0 && added.length === 0) return [];
  const some = (texts: readonly string[]) => (texts.length === 0 ? "nothing" : listSome(texts, 6));
  return [`${what} differ: ${some(gone)}, now ${some(added)}`];
}

function without(texts: readonly string[], others: readonly string[]): string[] {
  const known = new Set(others);
  return texts.filter((text) => !known.has(text));
}
