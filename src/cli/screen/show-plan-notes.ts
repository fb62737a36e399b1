import { describeInLine } from "../../base/fix.ts";
import { printableSentence } from "../../base/text/printable.ts";
import { noDraftAsked } from "../../llama/plan/draft-decision.ts";
import type { CliPlan, LaunchPlan } from "../../llama/plan/plan-launch.ts";
import { paint } from "./paint.ts";
import { printError } from "./print.ts";

/** Prints the warnings of a plan on stderr. */
export function showPlanNotes(made: LaunchPlan | CliPlan): void {
  const { proof } = commandOf(made);
  const lacking = made.refused
    .filter(({ error }) => error.exit === "unavailable")
    .map(({ error }) => describeInLine(error));
  for (const warning of [...lacking, ...describeWarnings(made)])
    printError(`${paint("yellow", "note:")} ${printableSentence(warning)}\n`);
  if (!proof.wanted && proof.reason !== noDraftAsked) {
    printError(`${paint("yellow", "drafting off:")} ${printableSentence(proof.reason)}\n`);
  }
}

/** The command of a plan, whichever program it is for. */
export function commandOf(made: LaunchPlan | CliPlan) {
  return "launch" in made ? made.launch : made.command;
}

/** One line for each finding; drafting that is off is told apart from them, with the proof of the launch. */
export function describeWarnings({ findings }: LaunchPlan | CliPlan): string[] {
  return findings.filter(({ code }) => code !== "drafting-off").map(describeInLine);
}
