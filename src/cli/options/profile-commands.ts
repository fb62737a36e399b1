import type { Command, CommandUnknownOpts } from "@commander-js/extra-typings";
import { readCount, readPort } from "./read-option.ts";
import { outputWidth, print } from "../screen/print.ts";

/** `profile` and its subcommands. */
export function addProfile(program: Command): void {
  const profile = program.command("profile").description("look at profiles, make and change them").helpCommand(false);
  profile
    .command("list")
    .description("list the profiles there are")
    .option("--json", "print JSON, for scripts", false)
    .action(async (options) => {
      const [{ profileList }, { findLoadOptions }] = await Promise.all([
        import("../profile/profile.ts"),
        import("./context.ts"),
      ]);
      print(await profileList(findLoadOptions().folders, { ...options, width: outputWidth() }));
    });
  profile
    .command("show <profile>")
    .description("print every value and where it was written")
    .option("--resolved", "as one file of its own: what was written, with all that it extends", false)
    .option("--json", "print JSON, for scripts", false)
    .action(async (name, options) => {
      const [{ profileShow }, { findLoadOptions }] = await Promise.all([
        import("../profile/profile.ts"),
        import("./context.ts"),
      ]);
      print(await profileShow(name, findLoadOptions(), options));
    });
  addEditing(profile);
  profile
    .command("schema")
    .description("print the JSON Schema for editors")
    .action(async () => {
      print((await import("../profile/profile.ts")).profileSchemaText());
    });
}

function addEditing(profile: CommandUnknownOpts): void {
  profile
    .command("new [name]")
    .description("write a new profile; asks for what the options leave out")
    .option("--extends <profile>", "start from this profile, and write only what differs")
    .option("--model <model>", "a GGUF file, a URL or hf:owner/repo:quant")
    .option("--draft <model>", "a draft model, written like --model")
    .option("--ctx-size <tokens>", "context in tokens", readCount)
    .option("--port <port>", "port of the server, or auto", readPort)
    .option("--description <text>", "one line for people")
    .option("--here", "write it to ./profiles instead of among your own", false)
    .action(async (name, options) => (await import("../profile/profile-new.ts")).profileNew(name, options));
  profile
    .command("edit <profile>")
    .description("open a profile in your editor; what you save takes its place when it is valid")
    .action(async (name) => (await import("../profile/profile-edit.ts")).profileEdit(name));
  profile
    .command("set <profile> <key=value...>")
    .description("set keys, such as draft.n_max=8; comments and order stay as they are")
    .action(async (name, words) => (await import("../profile/profile-set.ts")).profileSet(name, words));
  profile
    .command("unset <profile> <key...>")
    .description("remove keys from a profile")
    .action(async (name, words) => (await import("../profile/profile-set.ts")).profileUnset(name, words));
}
