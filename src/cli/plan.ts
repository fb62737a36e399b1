import { findPaths } from "../base/paths.ts";
import { noDraftAsked, planLaunch, type LaunchPlan } from "../llama/plan-launch.ts";
import { openProfile } from "./context.ts";
import { paint } from "./paint.ts";

/** Prints the exact command of a profile, one flag a line with the key it came from; starts nothing. */
export async function plan(nameOrPath: string, json: boolean): Promise<number> {
  const paths = findPaths();
  const made = await planLaunch(await openProfile(nameOrPath, paths), { paths, env: process.env, lacking: "mark" });
  if (json) {
    const { launch, flags, notes, warnings } = made;
    process.stdout.write(`${JSON.stringify({ launch, flags, notes, warnings }, undefined, 2)}\n`);
  } else {
    process.stdout.write(describe(made));
    showPlanNotes(made);
  }
  // Said last: who reads about a refused flag wants to see the command that it is in.
  if (made.refusal !== undefined) throw made.refusal;
  return 0;
}

/** Says on stderr what the person should know before or while this plan runs. */
export function showPlanNotes({ launch, warnings }: LaunchPlan): void {
  for (const warning of warnings) process.stderr.write(`${paint("yellow", "note:")} ${warning}\n`);
  if (!launch.drafting.wanted && launch.drafting.reason !== noDraftAsked) {
    process.stderr.write(`${paint("yellow", "drafting off:")} ${launch.drafting.reason}\n`);
  }
}

function describe({ launch, flags, notes }: LaunchPlan): string {
  const lines = flags.map(({ args, key, note }) => [args.map(quoteForShell).join(" "), note === undefined ? key : `${key}: ${note}`]);
  const width = Math.max(...lines.map(([text = ""]) => text.length));
  const command = [launch.file, ...lines.map(([text = "", key]) => `  ${text.padEnd(width)}  ${paint("dim", `# ${key}`, process.stdout)}`)];
  const leftOut = notes.map(({ key, reason }) => `left out: ${key}: ${reason}`);
  return `${[`# ${launch.name}, ${launch.build}`, ...command, ...leftOut].join("\n")}\n`;
}

function quoteForShell(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
