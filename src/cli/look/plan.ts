import { joinErrors, LlmctlError } from "../../base/errors.ts";
import { findPaths, type Paths } from "../../base/files/paths.ts";
import { printableLine, printableSentence } from "../../base/text/printable.ts";
import { hideValues } from "../../base/text/secrets.ts";
import { type CliPlan, planCli, planLaunch, type LaunchPlan } from "../../llama/plan/plan-launch.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import { findAnswering } from "../../supervisor/state/find-supervisor.ts";
import { readBuildOption } from "../options/build-option.ts";
import { openProfile } from "../options/context.ts";
import { notRunning } from "../../fleet/not-running.ts";
import { describeError } from "../screen/error-document.ts";
import { jsonText } from "../screen/json-text.ts";
import { paint } from "../screen/paint.ts";
import { type CommandDiff, describeDiff, diffCommands } from "./plan-diff.ts";
import { quoteForShellInLine } from "../../base/text/quote-for-shell.ts";
import { print } from "../screen/print.ts";
import { commandOf, describeWarnings, showPlanNotes } from "../screen/show-plan-notes.ts";

interface PlanCommandOptions {
  readonly json: boolean;
  /** The command of llama-cli instead of the server's. */
  readonly cli: boolean;
  /** Another build than the profile's: an installed one, or the path of a llama-server. */
  readonly build?: string;
  /** Compare with the command that is running. */
  readonly diff: boolean;
}

/** Prints the exact command of a profile, one flag on each line with the key that it came from; starts nothing. */
export async function plan(nameOrPath: string, { json, cli, build, diff }: PlanCommandOptions): Promise<number> {
  const paths = findPaths();
  const opened = await openProfile(nameOrPath, paths);
  const profile = build === undefined ? opened : withBuild(opened, build);
  const options = { paths, env: process.env, lacking: "mark" } as const;
  if (cli) return show(profile.name, await planCli(profile, options), json);
  const made = await planLaunch(profile, options);
  return diff ? showDiff(made, await compare(made, paths), json) : show(profile.name, made, json);
}

/** The same profile for another build. */
function withBuild(profile: Profile, build: string): Profile {
  return {
    ...profile,
    values: { ...profile.values, llama: readBuildOption(build) },
    at: (...key) => (key[0] === "llama" ? "--build" : profile.at(...key)),
  };
}

function show(name: string, made: LaunchPlan | CliPlan, json: boolean): number {
  if (json) return printJson(made, toJson(made));
  print(describe(name, made));
  showPlanNotes(made);
  failOnRefusal(made);
  return 0;
}

async function compare({ launch, flags }: LaunchPlan, paths: Paths): Promise<CommandDiff> {
  const running = await findAnswering(paths, launch.name);
  if (running === undefined) throw notRunning(launch.name);
  const { command, hash } = running.status;
  if (command === undefined) {
    throw new LlmctlError(
      "command-unknown",
      `the supervisor of "${launch.name}" is older than this llmctl and does not tell its command`,
      {
        exit: "failed",
        fix: { run: ["down", launch.name], andThen: { before: "", run: ["up", launch.name] } },
      },
    );
  }
  return diffCommands(
    { command, hash },
    { file: launch.file, hash: launch.hash, flags: flags.map(({ args }) => args) },
  );
}

function showDiff(made: LaunchPlan, diff: CommandDiff, json: boolean): number {
  if (json) return printJson(made, { ...toJson(made), diff });
  print(describeDiff(made.launch.name, diff));
  showPlanNotes(made);
  failOnRefusal(made);
  return 0;
}

/** Prints one document: the plan, and the error where no machine takes one of its values. @returns the exit code. */
function printJson(made: LaunchPlan | CliPlan, shown: object): number {
  const wrong = findRefusal(made);
  const { document, exitCode } = wrong === undefined ? { document: {}, exitCode: 0 } : describeError(wrong);
  print(jsonText({ ...document, ...shown }));
  return exitCode;
}

/**
 * Without the values of the environment: they are for the server alone. Readers of this JSON know the wanted proof as
 * `drafting`.
 */
function toJson(made: LaunchPlan | CliPlan): object {
  const { flags, notes } = made;
  const refused = made.refused.map(({ flag, error: { message, fix } }) => ({
    key: flag?.key ?? null,
    message,
    fix: fix ?? null,
  }));
  const { proof: drafting, ...command } = commandOf(made);
  const shown = { ...command, env: hideValues(command.env), drafting };
  const rest = { flags, notes, warnings: describeWarnings(made), refused };
  return "launch" in made ? { launch: shown, ...rest } : { command: shown, ...rest };
}

/** To be called last: the error then stands below the command. */
function failOnRefusal(made: LaunchPlan | CliPlan): void {
  const wrong = findRefusal(made);
  if (wrong !== undefined) throw wrong;
}

/** The refusals of values that no machine takes; a device that this machine lacks is only marked. */
function findRefusal({ refused }: LaunchPlan | CliPlan): LlmctlError | undefined {
  const [first, ...more] = refused.map(({ error }) => error).filter(({ exit }) => exit !== "unavailable");
  return first && joinErrors(first, more);
}

function describe(name: string, made: LaunchPlan | CliPlan): string {
  const { file, build } = commandOf(made);
  const refused = new Map(
    made.refused.map(({ flag, error }) => [flag, error.exit === "config" ? "refused" : "not on this machine"]),
  );
  const lines = made.flags.map((flag) => {
    const { args, key, note } = flag;
    const origin = note === undefined ? key : `${key}: ${note}`;
    return {
      text: args.map(quoteForShellInLine).join(" "),
      origin: refused.has(flag) ? `${origin} (${refused.get(flag)})` : origin,
    };
  });
  const width = Math.max(...lines.map(({ text }) => text.length));
  const command = lines.map(
    ({ text, origin }) => `  ${text.padEnd(width)}  ${paint("dim", `# ${printableSentence(origin)}`, process.stdout)}`,
  );
  const leftOut = made.notes.map(({ key, reason }) => printableSentence(`left out: ${key}: ${reason}`));
  return `${[printableSentence(`# ${name}, ${build}`), printableLine(file), ...command, ...leftOut].join("\n")}\n`;
}
