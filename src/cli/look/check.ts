import { exitCodes } from "../../base/exit-codes.ts";
import { findPaths } from "../../base/files/paths.ts";
import { PlanSession } from "../../llama/plan/plan-session.ts";
import { checkNamed, listNames, type NamedCheck } from "./check-named.ts";
import { showCheck, showChecks } from "./check-report.ts";
import { jsonText } from "../screen/json-text.ts";
import { outputWidth, print } from "../screen/print.ts";

interface CheckOptions {
  /** Every profile there is. */
  readonly all: boolean;
  readonly json: boolean;
}

/**
 * Takes every step of a start but the start, for one or many profiles, and prints all findings.
 * @returns 0 where nothing would fail; else the exit code that a start would end with, or 1 where there are several.
 */
export async function check(namesOrPaths: readonly string[], { all, json }: CheckOptions): Promise<number> {
  const paths = findPaths();
  const names = all ? await listNames(paths) : namesOrPaths;
  const checks = await checkNamed(names, new PlanSession(paths, process.env));
  const isSingle = !all && names.length === 1;
  const [only] = checks;
  if (json) print(jsonText(isSingle && only ? toJson(only) : checks.map(toJson)));
  else if (isSingle && only !== undefined) showCheck(only);
  else showChecks(checks, outputWidth());
  return exitCodeOf(checks);
}

function exitCodeOf(checks: readonly NamedCheck[]): number {
  const exits = new Set(checks.flatMap(({ findings }) => findings.flatMap(({ exit }) => exit ?? [])));
  const [first = "done"] = exits;
  return exitCodes[exits.size > 1 ? "failed" : first].code;
}

function toJson(one: NamedCheck): Record<string, unknown> {
  const { name, findings } = one;
  const warnings = findings.flatMap(({ rank, message }) => (rank === "warning" ? [message] : []));
  if (one.profile === undefined) return { name, profile: null, warnings, findings };
  const { profile, build = null, files, flags, notes, drafting, memory } = one;
  return { name, profile: profile.path, build, files, flags, notes, drafting, memory, warnings, findings };
}
