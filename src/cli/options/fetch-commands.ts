import { type Command, Option, type OptionValues } from "@commander-js/extra-typings";
import { readRate } from "./read-option.ts";

const backends = ["auto", "cuda", "cpu", "vulkan", "metal"] as const;

/** The commands that install and remove models and builds of llama.cpp. */
export function addGetting(program: Command, done: (code: number) => void): void {
  program
    .command("pull <profile...>")
    .description("fetch and verify the models of profiles; resumes where it stopped")
    .option("--dry-run", "only say what would be fetched", false)
    .option("--update", "move on to the newest commits", false)
    .option("--limit-rate <size>", "fetch at most so much a second, such as 50MB", readRate)
    .option("--no-verify", "do not read what another program has fetched")
    .option("--json", "print an event a line as JSON, for scripts", false)
    .action(async (names, options) => done(await (await import("../get/pull.ts")).pull(names, options)));
  program
    .command("outdated [profile...]")
    .description("show for which models the Hub has newer files; all profiles unless told")
    .option("--json", "print JSON, for scripts", false)
    .action(async (names, { json }) => done(await (await import("../get/outdated.ts")).outdated(names, json)));
  addModels(program, done);
  addSourceOptions(program.command("build"))
    .description("build llama.cpp, or show the builds there are")
    .option("--prefix <folder>", "install somewhere else")
    .option("--list", "show installed builds")
    .option("--json", "with --list or --use, for scripts")
    .option("--use <build>", "make an installed build the current one")
    .action(async (options, command) => {
      if (options.json && !options.list && options.use === undefined)
        command.error("error: --json goes with --list or --use");
      await (await import("../get/build.ts")).build(options);
    });
  addSourceOptions(program.command("upgrade"))
    .description("build llama.cpp aside, check every profile and run the demo on it, then make it the current build")
    .option("--even-if-profiles-break", "switch although a profile would not start any more", false)
    .option("--rollback", "only go back to the build that was current before", false)
    .action(async (options) => done(await (await import("../get/upgrade.ts")).upgrade(options)));
}

/** The options that the build script gets. */
function addSourceOptions<Args extends unknown[], Options extends OptionValues>(command: Command<Args, Options>) {
  return command
    .option("--ref <ref>", "release, tag or commit (default: the newest release that llmctl was tested with)")
    .option("--repo <url>", "git repository to take it from")
    .option("--source <folder>", "an existing checkout")
    .option("--bundle <file>", "a git bundle")
    .addOption(
      new Option("--backend <name>", "what computes; auto is CUDA or Metal where found, else the CPU").choices(
        backends,
      ),
    )
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
    .action(async (options) => done(await (await import("../get/models.ts")).modelsList(options)));
  models
    .command("verify [name...]")
    .description("read models of profiles, or OWNER/REPO[:QUANT], and compare them with their digests; all unless told")
    .action(async (names) => done(await (await import("../get/models.ts")).modelsVerify(names)));
  models
    .command("prune")
    .description("delete the fetched models that no profile uses, after having asked")
    .option("--yes", "do not ask", false)
    .action(async (options) => done(await (await import("../get/models-prune.ts")).modelsPrune(options)));
}
