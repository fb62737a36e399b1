import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { createProgram } from "../../src/cli/program.ts";

export interface NamedCommand {
  /** The words of its name: `profile show`. */
  readonly path: readonly string[];
  readonly command: CommandUnknownOpts;
}

/** Every command that does something, subcommands included. */
export function listCommands(
  program: CommandUnknownOpts = createProgram(() => {}),
  path: readonly string[] = [],
): NamedCommand[] {
  return program.commands.flatMap((command) => {
    const inner = [...path, command.name()];
    return [{ path: inner, command }, ...listCommands(command, inner)];
  });
}

export function hasJson({ command }: NamedCommand): boolean {
  return command.options.some(({ long }) => long === "--json");
}
