import { describeFix } from "../../base/fix.ts";
import { printableSentence } from "../../base/text/printable.ts";
import { type Finding, type Rank, ranks } from "../../llama/plan/finding.ts";
import { formatMemoryUse } from "../../llama/plan/memory-use.ts";
import type { ProfileCheck } from "../../llama/plan/check-profile.ts";
import { good } from "./check-line.ts";
import type { NamedCheck } from "./check-named.ts";
import { paint } from "../screen/paint.ts";
import { formatTable } from "../../base/text/table.ts";
import { print } from "../screen/print.ts";

const colours = { error: "red", warning: "yellow", note: "dim" } as const satisfies Record<Rank, string>;

/** Shows one profile: the steps that went well, then all findings, errors first. */
export function showCheck(one: NamedCheck): void {
  if (one.profile !== undefined) showGood(one);
  for (const finding of one.findings) print(formatFinding(finding));
  print(`${count(one.findings) || "no problems found"}\n`);
}

/** Shows many profiles: a line for each, then all findings, errors first. */
export function showChecks(checks: readonly NamedCheck[], width: number): void {
  const rows = checks.map((one) => [one.name, count(one.findings) || "ok"]);
  print(formatTable(["PROFILE", "RESULT"], rows, width));
  const all = ranks.flatMap((rank) =>
    checks.flatMap(({ name, findings }) => findings.filter((one) => one.rank === rank).map((one) => ({ name, one }))),
  );
  for (const { name, one } of all) print(formatFinding({ ...one, message: `${name}: ${one.message}` }));
  const profiles = checks.length === 1 ? "1 profile" : `${checks.length} profiles`;
  print(`${profiles}: ${count(all.map(({ one }) => one)) || "no problems found"}\n`);
}

function showGood({ profile, build, files, flags, notes, drafting, memory, findings }: ProfileCheck): void {
  good(`profile   ${profile.path}`);
  if (build !== undefined) good(`build     ${build}`);
  const [file, ...others] = files.map(({ path }) => path);
  if (file !== undefined) good(`files     ${file}`, ...others);
  const isRefused = findings.some(
    ({ code }) => code === "flag-refused" || code === "device-missing" || code === "binary-failed",
  );
  if (flags.length > 0 && !isRefused) {
    const leftOut = notes.length === 0 ? "" : `, ${notes.length} not needed on this build`;
    good(`flags     ${flags.length} accepted by the binary${leftOut}`);
  }
  const isDraftBad = findings.some(({ rank, at }) => rank === "error" && at === profile.at("draft", "model"));
  if (drafting.wanted && !isDraftBad && files.length > 0)
    good("drafting  the two models fit; a running server must still prove it");
  if (memory.length > 0) good(`memory    ${memory.map(formatMemoryUse).join(", ")}`);
}

/** The message, the place and the fix of a finding, each on a line of its own. */
export function formatFinding({ rank, message, at, fix }: Finding): string {
  const indent = " ".repeat(9);
  const lines = [`${paint(colours[rank], rank.padEnd(7), process.stdout)}  ${printableSentence(message)}`];
  if (at !== undefined) lines.push(`${indent}at:  ${printableSentence(at)}`);
  if (fix !== undefined) lines.push(`${indent}fix: ${printableSentence(describeFix(fix))}`);
  return `${lines.join("\n")}\n`;
}

/** `2 errors, 1 warning`; empty where there is no finding. */
function count(findings: readonly Finding[]): string {
  return ranks
    .flatMap((rank) => {
      const number = findings.filter((one) => one.rank === rank).length;
      return number === 0 ? [] : [number === 1 ? `1 ${rank}` : `${number} ${rank}s`];
    })
    .join(", ");
}
