import { type Command, Option, type OptionValues } from "@commander-js/extra-typings";
import { print } from "../screen/print.ts";

/** The commands that run a profile as a service of systemd or launchd. */
export function addServices(program: Command, done: (code: number) => void): void {
  const systemd = program.command("systemd").description("run a profile as a service of systemd").helpCommand(false);
  withScope(systemd.command("show <profile>"))
    .description("print the unit file that runs a profile")
    .action(async (name, options) => {
      print(await (await import("../service/systemd.ts")).systemdShow(name, options));
    });
  withScope(systemd.command("install <profile>"))
    .description("write the unit and have it start at boot; shows what it changes in one that is there; safe to repeat")
    .option("--now", "start it, too, and wait until it is ready", false)
    .option("-y, --yes", "change a unit without asking", false)
    .option("--from-checkout", "have it run this working copy of llmctl", false)
    .action(async (name, options) => (await import("../service/systemd.ts")).systemdInstall(name, options));
  withScope(systemd.command("uninstall <name>"))
    .description("stop the service and remove its unit; models, logs and the profile stay")
    .action(async (name, options) => (await import("../service/systemd.ts")).systemdUninstall(name, options));
  withScope(systemd.command("status <name>"))
    .description("whether the unit is there, as it should be, started at boot, and active")
    .action(async (name, options) => done(await (await import("../service/systemd.ts")).systemdStatus(name, options)));
  program
    .command("launchd")
    .description("run a profile as a service of macOS (untested)")
    .helpCommand(false)
    .command("show <profile>")
    .description("print the property list that runs a profile")
    .action(async (name) => {
      print(await (await import("../service/launchd.ts")).launchdShow(name));
    });
}

function withScope<Args extends unknown[], Options extends OptionValues>(command: Command<Args, Options>) {
  return command
    .addOption(new Option("--user", "for your own service manager (default, but for root)"))
    .addOption(new Option("--system", "for the machine's, as a user of its own (default for root)"));
}
