import { Argument, Command, CommanderError, type CommandUnknownOpts, Help, Option } from "@commander-js/extra-typings";
import { exitCodes } from "../base/exit-codes.ts";
import { LlmctlError } from "../base/errors.ts";
import { llmctlVersion } from "../base/version.ts";
import { superviseCommand } from "../fleet/start/detached-message.ts";
import { resumeCommand } from "../fleet/pause/pause-message.ts";
import { addChecking } from "./options/check-commands.ts";
import { exportFormats } from "../export/export-formats.ts";
import { addGetting } from "./options/fetch-commands.ts";
import { isJsonAsked } from "./screen/json-asked.ts";
import { addMeasuring } from "./options/measure-commands.ts";
import { addProfile } from "./options/profile-commands.ts";
import { readCount, readDuration, readTime } from "./options/read-option.ts";
import { reportError, reportErrorAsJson } from "./screen/report-error.ts";
import { addServices } from "./options/service-commands.ts";
import { print } from "./screen/print.ts";

/*
 * Every command loads its own code when it runs, so that a quick command such as `ps` does not wait for code that only
 * `up` or `pull` needs.
 */

/** Runs a command line and reports its error, as JSON if the command line asks for it. @returns the exit code. */
export async function runProgram(argv: readonly string[]): Promise<number> {
  // A supervisor lives for months: it does not build the command tree.
  if (argv[2] === superviseCommand) {
    onCrash(reportError);
    const [{ outliveOutput }, { superviseDetached }] = await Promise.all([
      import("./run/outlive-output.ts"),
      import("../fleet/start/supervise-detached.ts"),
    ]);
    outliveOutput();
    return superviseDetached();
  }
  if (argv[2] === resumeCommand) {
    onCrash(reportError);
    const [{ outliveOutput }, { resumePaused }, { findLoadOptions }, { jsonLine }] = await Promise.all([
      import("./run/outlive-output.ts"),
      import("../fleet/pause/resume-paused.ts"),
      import("./options/context.ts"),
      import("./screen/json-text.ts"),
    ]);
    outliveOutput();
    return resumePaused(argv[3] ?? "[]", {
      load: findLoadOptions(),
      write: (message) => print(jsonLine(message)),
    });
  }
  let code = 0;
  const program = createProgram((result) => {
    code = result;
  }, argv[2]);
  const json = isJsonAsked(program, argv.slice(2));
  const report = json ? reportErrorAsJson : reportError;
  onCrash(report);
  try {
    await program.parseAsync(argv);
    return code;
  } catch (error) {
    if (!(error instanceof CommanderError)) return report(error);
    if (error.exitCode === 0) return exitCodes.done.code;
    // Commander has shown the help of a command that is named alone and needs a subcommand.
    return error.code === "commander.help" ? exitCodes.usage.code : report(inOurWords(error));
  }
}

/** Reports an error that is thrown outside of every promise like all others; Node would print it raw. */
function onCrash(report: (error: unknown) => number): void {
  process.once("uncaughtException", (error) => process.exit(report(error)));
}

/** Adds commands. @param done Is called with the exit code of a command, where that may be another than 0. */
type AddCommands = (program: Command, done: (code: number) => void) => void;

/** The order is that of the help text. */
const groups: readonly { readonly add: AddCommands; readonly names: readonly string[] }[] = [
  { add: addRunning, names: ["up", "down", "restart"] },
  { add: addForgetting, names: ["forget"] },
  { add: addChatting, names: ["chat"] },
  { add: addLooking, names: ["ps", "status", "logs", "events", "metrics"] },
  { add: addPlanning, names: ["plan", "flags"] },
  { add: addChecking, names: ["check", "inspect"] },
  { add: addMeasuring, names: ["bench", "tune"] },
  { add: addGetting, names: ["pull", "outdated", "models", "build", "upgrade"] },
  { add: addProfile, names: ["profile"] },
  { add: addServices, names: ["systemd", "launchd"] },
  { add: addExport, names: ["export"] },
];

/**
 * The program with its commands.
 * @param done Is called with the exit code of a command, where that may be another than 0.
 * @param word The first word of the command line. If it names a command, the other groups are left out: all commands
 *   cost as much as a tenth of a bare start of Node.
 */
export function createProgram(done: (code: number) => void, word?: string): Command {
  const program = new Command("llmctl")
    .description("Runs llama.cpp's llama-server under supervision, with speculative decoding that is proven to be on")
    .version(llmctlVersion)
    .helpOption("-h, --help", "show help")
    .helpCommand(false)
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({ outputError: () => {} }) // its errors are reported like all others
    .configureHelp({ optionDescription: describeOption })
    .hook("preAction", (_, action) => refuseJsonOfParent(action));
  const named = groups.filter(({ names }) => word !== undefined && names.includes(word));
  for (const { add } of named.length === 0 ? groups : named) add(program, done);
  return program;
}

function addRunning(program: Command, done: (code: number) => void): void {
  const timeout = new Option(
    "--timeout <time>",
    "longest wait for ready, such as 30m; the server goes on loading after it",
  ).argParser(readDuration);
  program
    .command("up [profiles...]")
    .description(
      "start profiles after what they depend on; stay with one, or with -d return when all are ready; safe to repeat",
    )
    .option("-d, --detach", "leave them running in the background when they are ready", false)
    .option("-a, --all", "all profiles of your own", false)
    .option("--no-fetch", "do not fetch missing models")
    .option("--no-verify", "do not read what another program has fetched")
    .addOption(timeout)
    .action(async (names, { timeout: timeoutMs, ...options }, command) => {
      checkNames(names, options.all, command);
      done(await (await import("./run/up.ts")).up(names, { ...options, timeoutMs }));
    });
  program
    .command("down [names...]")
    .description("stop profiles, those that depend on others first; returns when their servers are gone")
    .option("-a, --all", "all that run", false)
    .option("--now", "do not wait for running requests", false)
    .action(async (names, options, command) => {
      checkNames(names, options.all, command);
      done(await (await import("./run/down.ts")).down(names, options));
    });
  program
    .command("restart [profiles...]")
    .description("stop servers and start them as their profiles now say")
    .option("-a, --all", "all that run", false)
    .addOption(timeout)
    .action(async (names, { all, timeout: timeoutMs }, command) => {
      checkNames(names, all, command);
      done(await (await import("./run/restart.ts")).restart(names, { all, timeoutMs }));
    });
}

/** A command of its own and not a flag of `ps`: a command that shows things should not remove logs. */
function addForgetting(program: Command, done: (code: number) => void): void {
  program
    .command("forget [names...]")
    .description("remove the state and the logs of profiles that do not run; profiles and models stay")
    .option("-a, --all", "all that do not run", false)
    .action(async (names, options, command) => {
      checkNames(names, options.all, command);
      done(await (await import("./profile/forget.ts")).forget(names, options));
    });
}

/** Expects names, or `--all` in place of names. */
function checkNames(names: readonly string[], all: boolean, command: CommandUnknownOpts): void {
  if (names.length === 0 && !all) command.error("error: missing the name of a profile, or --all");
  if (names.length > 0 && all) command.error("error: --all stands in the place of names");
}

function addChatting(program: Command, done: (code: number) => void): void {
  program
    .command("chat <profile> [flags...]")
    .description("chat with a profile's model on this terminal")
    .usage("[options] <profile> [-- flags of llama-cli]")
    .action(async (name, flags) => done(await (await import("./run/chat.ts")).chat(name, flags)));
}

function addLooking(program: Command, done: (code: number) => void): void {
  program
    .command("ps")
    .description("list what runs and what has failed")
    .option("-a, --all", "also what was stopped", false)
    .option("--json", "print JSON, for scripts", false)
    .action(async (options) => done(await (await import("./look/ps.ts")).ps(options)));
  program
    .command("status <name>")
    .description("show one profile")
    .option("--json", "print JSON, for scripts", false)
    .action(async (name, { json }) => done(await (await import("./look/status.ts")).status(name, json)));
  program
    .command("logs <name>")
    .description("print the end of a server's log")
    .option("-f, --follow", "go on with what is added, until Ctrl-C", false)
    .option("-n, --lines <count>", "how many lines (default: 100, or all with --previous and --since)", readCount)
    .addOption(new Option("-p, --previous", "the run before the newest").default(false).conflicts("follow"))
    .addOption(
      new Option("--since <time>", "only what is newer: 10m, or a time such as 2026-11-24T10:18").argParser(readTime),
    )
    .action(async (name, { follow, previous, lines, since }) =>
      done(await (await import("./look/logs.ts")).logs(name, { follow, previous, lines, since })),
    );
  program
    .command("events <name>")
    .description("print what the supervisor did: each change with its cause and the time since its start")
    .option("-f, --follow", "go on with what happens, until Ctrl-C", false)
    .option("-n, --lines <count>", "how many changes", readCount, 100)
    .option("--json", "print JSON, one object a line", false)
    .action(async (name, options) => done(await (await import("./look/events.ts")).events(name, options)));
  program
    .command("metrics <name>")
    .description("print what Prometheus can scrape: the supervisor's numbers, and those of its server")
    .action(async (name) => done(await (await import("./look/metrics.ts")).metrics(name)));
}

function addPlanning(program: Command, done: (code: number) => void): void {
  program
    .command("plan <profile>")
    .description("print the exact command and where each flag comes from; starts nothing")
    .option("--build <build>", "for another installed build, or the path of a llama-server")
    .addOption(new Option("--diff", "only what a restart would change of what is running").default(false))
    .addOption(new Option("--cli", "the command of llama-cli instead").default(false).conflicts("diff"))
    .option("--json", "print JSON, for scripts", false)
    .action(async (name, options) => done(await (await import("./look/plan.ts")).plan(name, options)));
  program
    .command("flags [word]")
    .description("list the flags of a build, or what it says about those that speak of a word")
    .allowUnknownOption() // the word can be a flag of llama.cpp
    .option("--build <build>", "of another installed build, or the path of a llama-server")
    .option("--cli", "of llama-cli instead of llama-server", false)
    .option("--json", "print JSON, for scripts", false)
    .action(async (word, options) => done(await (await import("./look/flags.ts")).flags(word, options)));
}

function addExport(program: Command): void {
  program
    .command("export")
    .description("print a profile as a container of llama.cpp's official image, for others to run")
    .addArgument(new Argument("<format>", "what runs it").choices(exportFormats))
    .argument("<profile>")
    .option("--release <tag>", "release of llama.cpp in the image (default: the newest that llmctl was tested with)")
    .option("--image <image>", "another image of this release")
    .addOption(
      new Option("--backend <name>", "what computes (default: by the profile's devices)").choices([
        "cpu",
        "cuda",
        "rocm",
        "vulkan",
      ]),
    )
    .option("--gpus <count>", "how many GPUs (default: by the profile's devices)", readCount)
    .option(
      "--models <where>",
      "folder that holds the models, or claim on Kubernetes (default: where they are here; models)",
    )
    .option("--replicas <count>", "how many servers, on Kubernetes", readCount, 1)
    .action(async (format, name, options) => {
      print(await (await import("./service/export.ts")).exportProfile(format, name, options));
    });
}

/** Leaves out commander's "(default: false)": a switch is always off by default. */
function describeOption(option: Option): string {
  return option.defaultValue === false ? option.description : new Help().optionDescription(option);
}

/** Commander gives an option to the outermost command that has it: `models verify --json` would be that of `models`. */
function refuseJsonOfParent(action: CommandUnknownOpts): void {
  for (let outer: CommandUnknownOpts | null = action.parent; outer !== null; outer = outer.parent) {
    if (outer.opts()["json"] === true) action.error("error: unknown option '--json'");
  }
}

/** Turns commander's `error: …`, with a suggestion in brackets, into an LlmctlError with a fix. */
function inOurWords({ message }: CommanderError): LlmctlError {
  const said = message.replace(/^error: /, "");
  const [, what = said, near] = /^(.*?)\s*\(Did you mean (.*)\?\)$/s.exec(said) ?? [];
  const fix = near === undefined ? {} : { fix: `did you mean ${near.startsWith("one of ") ? near : `"${near}"`}?` };
  return new LlmctlError("usage", what, { exit: "usage", ...fix });
}
