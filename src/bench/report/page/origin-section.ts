import { formatDuration, formatSize } from "../../../base/text/units.ts";
import type { ReportedSetting } from "../../bench-report.ts";
import type { TuneReport } from "../../tune-report.ts";
import { describeCommand, describeDraft } from "../command-words.ts";
import { formatMemory, formatShare } from "../../number-words.ts";
import { type Content, markup, type Markup } from "./markup.ts";
import { closed, numberCell, section, textCell } from "./page-frame.ts";

type Origin = Pick<TuneReport, "machine" | "build" | "concurrency" | "timing" | "waitShare" | "startedAt">;

/** All that somebody needs to measure it again. */
export function originSection(origin: Origin, settings: readonly ReportedSetting[]): Markup {
  return section("origin", "How it was measured", [
    machineFacts(origin),
    settings.map((setting) => settingPart(setting, settings.length > mostOpenCommands)),
    settings.length === 0 ? undefined : markup`<h3>Files</h3>\n${filesTable(settings)}`,
  ]);
}

function machineFacts({ machine, build, concurrency, timing, waitShare, startedAt }: Origin): Markup {
  return facts([
    ["Processor", `${machine.processor}, ${machine.processors} logical processors`],
    ["Memory", formatMemory(machine.memoryBytes)],
    ["Devices", machine.devices.length === 0 ? "none besides the processor" : machine.devices.join(", ")],
    ["System", machine.system],
    ["Build", build],
    ["Requests at once", String(concurrency)],
    ["Time that counts", timing === "cpu" ? "processor time of the server" : "wall clock, by the server"],
    ["Waiting for a processor", waitShare === null ? "not known" : `${formatShare(waitShare)} of the time`],
    ["Started", startedAt],
  ]);
}

function facts(pairs: readonly (readonly [string, Content])[]): Markup {
  return markup`<dl class="facts">${pairs.map(([name, value]) => markup`<dt>${name}</dt><dd>${value}</dd>`)}</dl>
`;
}

/** More commands than the two of a comparison are folded up. */
const mostOpenCommands = 2;

function settingPart({ label, draft, command, loadMs }: ReportedSetting, isFolded: boolean): Markup {
  const keys = draft === null ? "no drafting" : describeDraft(draft);
  const load = loadMs === null ? "" : `; loaded in ${formatDuration(loadMs)}`;
  const code = markup`<pre><code>${describeCommand(command)}</code></pre>
`;
  return markup`<h3>${label}</h3>
<p class="aside">${keys}${load}</p>
${isFolded ? closed("The command", code) : code}`;
}

interface UsedFile {
  readonly file: ReportedSetting["files"][number];
  readonly users: string[];
}

function filesTable(settings: readonly ReportedSetting[]): Markup {
  const used = new Map<string, UsedFile>();
  for (const { label, files } of settings) {
    for (const file of files) {
      const key = JSON.stringify([file.path, file.sizeBytes, file.sha256]);
      const known = used.get(key) ?? { file, users: [] };
      known.users.push(label);
      used.set(key, known);
    }
  }
  const rows = [...used.values()].map(({ file, users }) => {
    const by = users.length === settings.length ? "all" : users.join(", ");
    return markup`<tr><th class="path" scope="row">${file.path}</th>${numberCell("size", formatSize(file.sizeBytes))}
<td class="path" data-label="SHA-256">${file.sha256 ?? "not known"}</td>${textCell("used by", by)}</tr>
`;
  });
  return markup`<table class="plain">
<thead><tr><th scope="col">file</th><th class="number" scope="col">size</th><th scope="col">SHA-256</th>
<th scope="col">used by</th></tr></thead><tbody>
${rows}</tbody></table>
`;
}
