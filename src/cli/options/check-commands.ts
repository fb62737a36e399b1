import type { Command, CommandUnknownOpts } from "@commander-js/extra-typings";

/** `check` and `inspect`: everything that can be known before a start. */
export function addChecking(program: Command, done: (code: number) => void): void {
  program
    .command("check [names...]")
    .description(
      "find out everything that can be known before a start; " +
        "with two models, whether the second can draft for the first",
    )
    .usage(
      "[options] <profile...>\n" +
        "       llmctl check [options] <target> <draft>   each a file, a URL or hf:owner/repo[:quant]",
    )
    .option("-a, --all", "every profile there is", false)
    .option(
      "--remote",
      "only whether the draft fits, from headers alone; the models need not be on this machine",
      false,
    )
    .option("--type <type>", "drafting type of two models", "draft-simple")
    .option("--json", "print JSON, for scripts", false)
    .action(async (names, options, command) => {
      const asked = readCheckQuestion(names, options, command);
      if (asked.kind === "profiles") return done(await (await import("../look/check.ts")).check(names, options));
      const { checkPair, checkRemote } = await import("../look/check-pair.ts");
      done(
        await (asked.kind === "remote"
          ? checkRemote(asked.name, options.json)
          : checkPair(asked.target, asked.draft, options)),
      );
    });
  program
    .command("inspect <model>")
    .description("show what a GGUF model is: a file, a URL or hf:owner/repo[:quant]")
    .option("--json", "print JSON, for scripts", false)
    .action(async (model, options) => (await import("../look/inspect.ts")).inspect(model, options));
}

type CheckQuestion =
  | { readonly kind: "profiles" }
  | { readonly kind: "remote"; readonly name: string }
  | { readonly kind: "pair"; readonly target: string; readonly draft: string };

/** Two words are a pair of models, unless both can only be names or files of profiles. */
function readCheckQuestion(
  names: readonly string[],
  { all, remote }: { readonly all: boolean; readonly remote: boolean },
  command: CommandUnknownOpts,
): CheckQuestion {
  const [first, second, ...more] = names;
  if (all && names.length > 0) command.error("error: give either names or --all");
  if (!all && first === undefined) command.error("error: missing required argument 'profile'");
  if (remote && (all || first === undefined || second !== undefined))
    command.error("error: --remote takes one profile");
  if (remote && first !== undefined) return { kind: "remote", name: first };
  const isPair = second !== undefined && more.length === 0 && names.some(isModelWord);
  return isPair && first !== undefined ? { kind: "pair", target: first, draft: second } : { kind: "profiles" };
}

/** A profile is a name, or the path of a YAML file. */
function isModelWord(word: string): boolean {
  return /\.gguf$/i.test(word) || (/[/:]/.test(word) && !/\.ya?ml$/.test(word));
}
