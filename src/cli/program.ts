import { readFileSync } from "node:fs";
import { Argument, Command, Help, InvalidArgumentError, Option } from "commander";
import { addServices } from "./service-commands.ts";
import { parseDuration, parseSize } from "../base/units.ts";
import type { ExportFormat, ExportOptions } from "./export.ts";
import type { NewOptions } from "./profile-new.ts";

/*
 * Every command loads its own code when it runs, so that a quick one such as `ps` does not wait for what only `up` or `pull` need.
 */

const superviseCommand = "__supervise";
const backends = ["auto", "cuda", "cpu", "vulkan", "metal"];

/** Reads the command line and runs the command. @returns the exit code. @throws CommanderError for wrong usage, and what commands throw. */
export async function runProgram(argv: readonly string[]): Promise<number> {
  // A supervisor lives for months: it does not carry the command line along.
  if (argv[2] === superviseCommand) return (await import("./detached.ts")).superviseDetached();
  let code = 0;
  const program = createProgram((result) => {
    code = result;
  });
  await program.parseAsync(argv);
  return code;
}

function createProgram(done: (code: number) => void): Command {
  const program = new Command("llmctl")
    .description("Runs llama.cpp's llama-server under supervision, with speculative decoding that is proven to be on")
    .version(readVersion())
    .helpOption("-h, --help", "show help")
    .helpCommand(false)
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(inOurWords(text)) })
    .configureHelp({ optionDescription: describeOption });
  addRunning(program, done);
  addChatting(program, done);
  addLooking(program, done);
  addGetting(program, done);
  addProfile(program);
  addServices(program, done);
  addExport(program);
  return program;
}

function addRunning(program: Command, done: (code: number) => void): void {
  const timeout = new Option("--timeout <time>", "longest wait for ready, such as 30m; the server goes on loading after it").argParser(
    readDuration,
  );
  program
    .command("up [profiles...]")
    .description("start profiles after what they depend on; stay with one, or with -d return when all are ready; safe to repeat")
    .option("-d, --detach", "leave them running in the background when they are ready", false)
    .option("-a, --all", "all profiles of your own", false)
    .option("--no-fetch", "do not fetch what is missing")
    .option("--no-verify", "do not read what another program has fetched")
    .addOption(timeout)
    .action(async (names: string[], { timeout: timeoutMs, ...options }: UpFlags, command: Command) => {
      checkNames(names, options.all, command);
      done(await (await import("./up.ts")).up(names, { ...options, timeoutMs }));
    });
  program
    .command("down [names...]")
    .description("stop profiles, those that depend on others first; returns when their servers are gone")
    .option("-a, --all", "all that run", false)
    .option("--now", "do not wait for running requests", false)
    .action(async (names: string[], options: { all: boolean; now: boolean }, command: Command) => {
      checkNames(names, options.all, command);
      done(await (await import("./down.ts")).down(names, options));
    });
  program
    .command("restart [profiles...]")
    .description("stop servers and start them as their profiles now say")
    .option("-a, --all", "all that run", false)
    .addOption(timeout)
    .action(async (names: string[], { all, timeout: timeoutMs }: { all: boolean; timeout?: number }, command: Command) => {
      checkNames(names, all, command);
      done(await (await import("./restart.ts")).restart(names, { all, timeoutMs }));
    });
}

interface UpFlags {
  readonly detach: boolean;
  readonly all: boolean;
  readonly fetch: boolean;
  readonly verify: boolean;
  readonly timeout?: number;
}

/** Names, or `--all` in their place. */
function checkNames(names: readonly string[], all: boolean, command: Command): void {
  if (names.length === 0 && !all) command.error("error: missing the name of a profile, or --all");
  if (names.length > 0 && all) command.error("error: --all stands in the place of names");
}

function addChatting(program: Command, done: (code: number) => void): void {
  program
    .command("chat <profile> [flags...]")
    .description("chat with a profile's model on this terminal")
    .usage("[options] <profile> [-- flags of llama-cli]")
    .action(async (name: string, flags: string[]) => done(await (await import("./chat.ts")).chat(name, flags)));
}

interface LogsFlags {
  readonly follow: boolean;
  readonly previous: boolean;
  readonly lines?: number;
  readonly since?: Date;
}

function addLooking(program: Command, done: (code: number) => void): void {
  program
    .command("ps")
    .description("list what runs and what has failed")
    .option("-a, --all", "also what was stopped", false)
    .option("--json", "print JSON, for scripts", false)
    .action(async (options: { all: boolean; json: boolean }) => done(await (await import("./ps.ts")).ps(options)));
  program
    .command("status <name>")
    .description("show one profile")
    .option("--json", "print JSON, for scripts", false)
    .action(async (name: string, { json }: { json: boolean }) => done(await (await import("./status.ts")).status(name, json)));
  program
    .command("logs <name>")
    .description("print the end of a server's log")
    .option("-f, --follow", "go on with what is added, until Ctrl-C", false)
    .option("-n, --lines <count>", "how many lines (default: 100, or all with --previous and --since)", readCount)
    .addOption(new Option("-p, --previous", "the run before the newest").default(false).conflicts("follow"))
    .addOption(new Option("--since <time>", "only what is newer: 10m, or a time such as 2026-11-24T10:18").argParser(readTime))
    .action(async (name: string, { follow, previous, lines, since }: LogsFlags) =>
      done(await (await import("./logs.ts")).logs(name, { follow, previous, lines, since })),
    );
  program
    .command("events <name>")
    .description("print what the supervisor did: each change with its cause and the time since its start")
    .option("-f, --follow", "go on with what happens, until Ctrl-C", false)
    .option("-n, --lines <count>", "how many changes", readCount, 100)
    .option("--json", "print JSON, one object a line", false)
    .action(async (name: string, options: { follow: boolean; lines: number; json: boolean }) =>
      done(await (await import("./events.ts")).events(name, options)),
    );
  program
    .command("metrics <name>")
    .description("print what Prometheus can scrape: the supervisor's numbers, and those of its server")
    .action(async (name: string) => done(await (await import("./metrics.ts")).metrics(name)));
  program
    .command("plan <profile>")
    .description("print the exact command and where each flag comes from; starts nothing")
    .option("--build <build>", "for another installed build, or the path of a llama-server")
    .addOption(new Option("--diff", "only what a restart would change of what is running").default(false))
    .addOption(new Option("--cli", "the command of llama-cli instead").default(false).conflicts("diff"))
    .option("--json", "print JSON, for scripts", false)
    .action(async (name: string, options: { build?: string; diff: boolean; cli: boolean; json: boolean }) =>
      done(await (await import("./plan.ts")).plan(name, options)),
    );
  program
    .command("flags [word]")
    .description("list the flags of a build, or what it says about those that speak of a word")
    .allowUnknownOption() // the word can be a flag of llama.cpp
    .option("--build <build>", "of another installed build, or the path of a llama-server")
    .option("--cli", "of llama-cli instead of llama-server", false)
    .option("--json", "print JSON, for scripts", false)
    .action(async (word: string | undefined, options: { build?: string; cli: boolean; json: boolean }) =>
      done(await (await import("./flags.ts")).flags(word, options)),
    );
  addChecking(program, done);
}

function addChecking(program: Command, done: (code: number) => void): void {
  program
    .command("check [names...]")
    .description("find out everything that can be known before a start; with two models, whether the second can draft for the first")
    .usage("[options] <profile...>\n       llmctl check [options] <target> <draft>   each a file, a URL or hf:owner/repo[:quant]")
    .option("-a, --all", "every profile there is", false)
    .option("--remote", "only whether the draft fits, from headers alone; the models need not be on this machine", false)
    .option("--type <type>", "drafting type of two models", "draft-simple")
    .option("--json", "print JSON, for scripts", false)
    .action(async (names: string[], options: CheckOptions, command: Command) => {
      const asked = readCheckQuestion(names, options, command);
      if (asked.kind === "profiles") return done(await (await import("./check.ts")).check(names, options));
      const { checkPair, checkRemote } = await import("./check-pair.ts");
      done(await (asked.kind === "remote" ? checkRemote(asked.name, options.json) : checkPair(asked.target, asked.draft, options)));
    });
  program
    .command("inspect <model>")
    .description("show what a GGUF model is: a file, a URL or hf:owner/repo[:quant]")
    .option("--json", "print JSON, for scripts", false)
    .action(async (model: string, options: { json: boolean }) => (await import("./inspect.ts")).inspect(model, options));
}

interface CheckOptions {
  readonly all: boolean;
  readonly remote: boolean;
  readonly type: string;
  readonly json: boolean;
}

type CheckQuestion =
  | { readonly kind: "profiles" }
  | { readonly kind: "remote"; readonly name: string }
  | { readonly kind: "pair"; readonly target: string; readonly draft: string };

/** Two words are a pair of models unless both can only be profiles. */
function readCheckQuestion(names: readonly string[], { all, remote }: CheckOptions, command: Command): CheckQuestion {
  const [first, second, ...more] = names;
  if (all && names.length > 0) command.error("error: give either names or --all");
  if (!all && first === undefined) command.error("error: missing required argument 'profile'");
  if (remote && (all || first === undefined || second !== undefined)) command.error("error: --remote takes one profile");
  if (remote && first !== undefined) return { kind: "remote", name: first };
  const isPair = second !== undefined && more.length === 0 && names.some(isModelWord);
  return isPair && first !== undefined ? { kind: "pair", target: first, draft: second } : { kind: "profiles" };
}

/** A profile is a name, or the path of a YAML file. */
function isModelWord(word: string): boolean {
  return /\.gguf$/i.test(word) || (/[/:]/.test(word) && !/\.ya?ml$/.test(word));
}

function addGetting(program: Command, done: (code: number) => void): void {
  program
    .command("pull <profile...>")
    .description("fetch and verify the models of profiles; resumes where it stopped")
    .option("--dry-run", "only say what would be fetched", false)
    .option("--update", "move on to the newest commits", false)
    .option("--limit-rate <size>", "fetch at most so much a second, such as 50MB", readRate)
    .option("--no-verify", "do not read what another program has fetched")
    .option("--json", "print an event a line as JSON, for scripts", false)
    .action(async (names: string[], options: { dryRun: boolean; update: boolean; limitRate?: number; verify: boolean; json: boolean }) =>
      done(await (await import("./pull.ts")).pull(names, options)),
    );
  program
    .command("outdated [profile...]")
    .description("show for which models the Hub has newer files; all profiles unless told")
    .option("--json", "print JSON, for scripts", false)
    .action(async (names: string[], { json }: { json: boolean }) => done(await (await import("./outdated.ts")).outdated(names, json)));
  addModels(program, done);
  addSourceOptions(program.command("build"))
    .description("build llama.cpp, or show the builds there are")
    .option("--prefix <folder>", "install somewhere else")
    .option("--list", "show installed builds")
    .option("--json", "with --list, for scripts")
    .option("--use <build>", "make an installed build the current one")
    .action(async (options: object) => (await import("./build.ts")).build(options));
  addSourceOptions(program.command("upgrade"))
    .description("build llama.cpp aside, check every profile and run the demo on it, then make it the current build")
    .option("--even-if-profiles-break", "switch although a profile would not start any more", false)
    .option("--rollback", "only go back to the build that was current before", false)
    .action(async (options: { evenIfProfilesBreak: boolean; rollback: boolean }) =>
      done(await (await import("./upgrade.ts")).upgrade(options)),
    );
}

/** What to build, for the build script. */
function addSourceOptions(command: Command): Command {
  return command
    .option("--ref <ref>", "release, tag or commit (default: the newest release that llmctl was tested with)")
    .option("--repo <url>", "git repository to take it from")
    .option("--source <folder>", "an existing checkout")
    .option("--bundle <file>", "a git bundle")
    .addOption(new Option("--backend <name>", "what computes; auto is CUDA or Metal where found, else the CPU").choices(backends))
    .option("--cuda-arch <list>", 'CUDA architectures, such as "86;89"')
    .option("--portable", "for any CPU of this architecture, not only this one")
    .option("--rpc", "with the backend for devices of other machines, and the worker that serves them")
    .option("--jobs <count>", "compile jobs at once (default: one a processor, fewer where memory is short)");
}

function addModels(program: Command, done: (code: number) => void): void {
  const models = program
    .command("models")
    .description("list the models that are here, with the profiles that use them")
    .helpCommand(false)
    .option("--json", "print JSON, for scripts", false)
    .action(async (options: { json: boolean }) => done(await (await import("./models.ts")).modelsList(options)));
  models
    .command("verify [name...]")
    .description("read models of profiles, or OWNER/REPO[:QUANT], and compare them with their digests; all unless told")
    .action(async (names: string[]) => done(await (await import("./models.ts")).modelsVerify(names)));
  models
    .command("prune")
    .description("delete the models of the Hugging Face cache that no profile uses, after having asked")
    .option("--yes", "do not ask", false)
    .action(async (options: { yes: boolean }) => done(await (await import("./models.ts")).modelsPrune(options)));
}

function addProfile(program: Command): void {
  const profile = program.command("profile").description("look at profiles, make and change them").helpCommand(false);
  profile
    .command("list")
    .description("list the profiles there are")
    .option("--json", "print JSON, for scripts", false)
    .action(async (options: { json: boolean }) => {
      const [{ profileList }, { findLoadOptions }] = await Promise.all([import("./profile.ts"), import("./context.ts")]);
      process.stdout.write(await profileList(findLoadOptions().folders, { ...options, width: process.stdout.columns ?? Infinity }));
    });
  profile
    .command("show <profile>")
    .description("print every value and where it was written")
    .option("--resolved", "as one file of its own: what was written, with all that it extends", false)
    .option("--json", "print JSON, for scripts", false)
    .action(async (name: string, options: { json: boolean; resolved: boolean }) => {
      const [{ profileShow }, { findLoadOptions }] = await Promise.all([import("./profile.ts"), import("./context.ts")]);
      process.stdout.write(await profileShow(name, findLoadOptions(), options));
    });
  addEditing(profile);
  profile
    .command("schema")
    .description("print the JSON Schema for editors")
    .action(async () => {
      process.stdout.write((await import("./profile.ts")).profileSchemaText());
    });
}

function addEditing(profile: Command): void {
  profile
    .command("new [name]")
    .description("write a new profile; asks for what it is not told")
    .option("--extends <profile>", "start from this profile, and write only what differs")
    .option("--model <model>", "a GGUF file, a URL or hf:owner/repo:quant")
    .option("--draft <model>", "a draft model, written like --model")
    .option("--ctx-size <tokens>", "context in tokens", readCount)
    .option("--port <port>", "port of the server, or auto", readPort)
    .option("--description <text>", "one line for people")
    .option("--here", "write it to ./profiles instead of among your own", false)
    .action(async (name: string | undefined, options: NewOptions) => (await import("./profile-new.ts")).profileNew(name, options));
  profile
    .command("edit <profile>")
    .description("open a profile in your editor; what you save takes its place when it is valid")
    .action(async (name: string) => (await import("./profile-edit.ts")).profileEdit(name));
  profile
    .command("set <profile> <key=value...>")
    .description("set keys, such as draft.n_max=8; comments and order stay as they are")
    .action(async (name: string, words: string[]) => (await import("./profile-set.ts")).profileSet(name, words));
  profile
    .command("unset <profile> <key...>")
    .description("remove keys from a profile")
    .action(async (name: string, words: string[]) => (await import("./profile-set.ts")).profileUnset(name, words));
}

function addExport(program: Command): void {
  program
    .command("export")
    .description("print a profile as a container of llama.cpp's official image, for others to run")
    .addArgument(new Argument("<format>", "what runs it").choices(["quadlet", "compose", "kubernetes"]))
    .argument("<profile>")
    .option("--release <tag>", "release of llama.cpp in the image (default: the newest that llmctl was tested with)")
    .option("--image <image>", "another image of this release")
    .addOption(
      new Option("--backend <name>", "what computes (default: by the profile's devices)").choices(["cpu", "cuda", "rocm", "vulkan"]),
    )
    .option("--gpus <count>", "how many GPUs (default: by the profile's devices)", readCount)
    .option("--models <where>", "folder that holds the models, or claim on Kubernetes (default: where they are here; models)")
    .option("--replicas <count>", "how many servers, on Kubernetes", readCount, 1)
    .action(async (format: ExportFormat, name: string, options: ExportOptions) => {
      process.stdout.write(await (await import("./export.ts")).exportProfile(format, name, options));
    });
}

function readVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string };
  return version;
}

/** A switch is off unless it is given; commander would say "(default: false)" of each. */
function describeOption(option: Option): string {
  return option.defaultValue === false ? option.description : new Help().optionDescription(option);
}

/** Commander's `error: …` with its suggestion in brackets, as all other errors of ours look. */
function inOurWords(text: string): string {
  return `llmctl: ${text.replace(/\(Did you mean (.*)\?\)/, '  fix: did you mean "$1"?')}`;
}

function readDuration(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new InvalidArgumentError("Write a time such as 90s or 30m.");
  return ms;
}

function readRate(text: string): number {
  const bytes = parseSize(text);
  if (bytes === undefined || bytes === 0) throw new InvalidArgumentError("Write a size such as 50MB or 8MiB.");
  return bytes;
}

/** A time in the past: so long ago, or as ISO 8601 writes it, in the local zone unless it names one. */
function readTime(text: string): Date {
  const agoMs = parseDuration(text);
  const time = agoMs === undefined && /^\d{4}-\d{2}-\d{2}/.test(text) ? new Date(text) : new Date(Date.now() - (agoMs ?? Number.NaN));
  if (Number.isNaN(time.getTime())) throw new InvalidArgumentError("Write how long ago, such as 10m, or a time such as 2026-11-24T10:18.");
  return time;
}

function readCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError("Write a whole number.");
  return Number(text);
}

function readPort(text: string): number | "auto" {
  const port = Number(text);
  if (text !== "auto" && (!/^\d{1,5}$/.test(text) || port < 1 || port > 65535)) {
    throw new InvalidArgumentError("Write a number from 1 to 65535, or auto.");
  }
  return text === "auto" ? text : port;
}
