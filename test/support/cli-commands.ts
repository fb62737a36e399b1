import type { Command } from "commander";
import { createProgram } from "../../src/cli/program.ts";

export interface NamedCommand {
  /** The words of its name: `profile show`. */
  readonly path: readonly string[];
  readonly command: Command;
}

/** Every command with an action, including subcommands. */
export function listCommands(program: Command = createProgram(() => {}), path: readonly string[] = []): NamedCommand[] {
  return program.commands.flatMap((command) => {
    const inner = [...path, command.name()];
    return [{ path: inner, command }, ...listCommands(command, inner)];
  });
}

export function hasJson({ command }: NamedCommand): boolean {
  return command.options.some(({ long }) => long === "--json");
}
