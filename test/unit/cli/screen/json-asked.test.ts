import { CommanderError, type CommandUnknownOpts } from "@commander-js/extra-typings";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isJsonAsked } from "../../../../src/cli/screen/json-asked.ts";
import { createProgram } from "../../../../src/cli/program.ts";
import { listCommands } from "../../../support/cli-commands.ts";

const program = createProgram(() => {});
const ask = (line: string) => isJsonAsked(program, line.split(" "));

describe("JSON is requested", () => {
  test.each([
    "ps --json",
    "ps --no-such --json",
    "events p -n x --json",
    "events p -fn 5 --json",
    "events p -n5 --json",
    "plan p --build v1 --json",
    "plan --build -- --json p",
    "flags --flash-attn --json",
    "profile show --resolved --json p",
    "models --json verify",
    "up p --json",
    "--json",
    "no-such --json",
  ])("by %s", (line) => {
    expect(ask(line)).toBe(true);
  });

  test.each([
    "ps",
    "",
    "-- ps --json",
    "chat p -- --json",
    "flags -- --json",
    "plan -- --json",
    "plan p --build --json",
    "check a b --type --json",
    "export compose p --models --json",
    "up p --jsonx",
    "ps --json=yes",
  ])("not by %s", (line) => {
    expect(ask(line)).toBe(false);
  });
});

test("whatever commander accepts is read as commander reads it", async () => {
  const commands = listCommands(program);
  const words = fc.constantFrom(
    "--json",
    "--json",
    "--json",
    "--",
    "a",
    "b.gguf",
    "5",
    "-",
    "up",
    "verify",
    "-f",
    "-fn",
    "-n",
    "-n5",
    "-a",
  );
  const line = fc.constantFrom(...commands).chain(({ path, command }) => {
    const own = command.options.flatMap(({ long, required }) =>
      long == null ? [] : required ? [[long, "5"], [long]] : [[long]],
    );
    const some =
      own.length === 0
        ? words.map((word) => [word])
        : fc.oneof(
            words.map((word) => [word]),
            fc.constantFrom(...own),
          );
    return fc.array(some, { maxLength: 5 }).map((parts) => [...path, ...parts.flat()]);
  });
  let accepted = 0;
  await fc.assert(
    fc.asyncProperty(line, async (argv) => {
      const read = await parse(argv);
      if (read === undefined) return;
      accepted += 1;
      expect(isJsonAsked(program, argv)).toBe(read);
    }),
    { numRuns: 1500 },
  );
  expect(accepted).toBeGreaterThan(150);
});

test("no command has an alias, and no option a value that may be left out: neither would be understood", () => {
  const all = listCommands(program).map(({ command }) => command);
  expect(all.flatMap((command) => command.aliases())).toEqual([]);
  expect(all.flatMap((command) => command.options.filter(({ optional }) => optional))).toEqual([]);
});

class Reached extends Error {
  readonly command: CommandUnknownOpts;

  constructor(command: CommandUnknownOpts) {
    super("commander would run the command now");
    this.command = command;
  }
}

const silentProgram = createProgram(() => {}).hook("preAction", (_, command) => {
  throw new Reached(command);
});
for (const { command } of [{ command: silentProgram }, ...listCommands(silentProgram)])
  command.configureOutput({ writeOut: () => {}, writeErr: () => {} });

/**
 * Whether commander gives `--json` to the command that would run; undefined if no command would run, because the line
 * is invalid or asks for help.
 */
async function parse(argv: readonly string[]): Promise<boolean | undefined> {
  try {
    await silentProgram.parseAsync(argv, { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) return undefined;
    if (error instanceof Reached) return error.command.opts()["json"] === true;
    throw error;
  }
  throw new Error("the command ran");
}
