import type { CommandUnknownOpts, Option } from "@commander-js/extra-typings";

/**
 * Whether a command line asks for JSON, even from a command that has none. Commander cannot tell: it stops at the first
 * mistake, which may come before `--json`. As in commander, the value of an option is not an option, and neither is a
 * word after `--`.
 * @param words The command line without the program's name.
 */
export function isJsonAsked(program: CommandUnknownOpts, words: readonly string[]): boolean {
  const rest = [...words];
  let command = program;
  let mayNameCommand = true;
  for (let word = rest.shift(); word !== undefined && word !== "--"; word = rest.shift()) {
    if (word === "--json") return true;
    const inner = mayNameCommand ? findCommand(command, word) : undefined;
    if (inner !== undefined) command = inner;
    else if (word.startsWith("-") && word !== "-") skipValue(command, word, rest);
    else mayNameCommand = false;
  }
  return false;
}

function findCommand(command: CommandUnknownOpts, word: string): CommandUnknownOpts | undefined {
  return command.commands.find((one) => one.name() === word);
}

/**
 * Removes the value of an option from the words, if it is a word of its own. Of `-af` the letter `f` stays an option.
 * No command has an alias, and no option a value that may be left out.
 */
function skipValue(command: CommandUnknownOpts, word: string, rest: string[]): void {
  const whole = findOption(command, word);
  if (whole !== undefined) {
    if (whole.required) rest.shift();
    return;
  }
  if (word.startsWith("--") || word.length === 2) return;
  const first = findOption(command, word.slice(0, 2));
  if (first !== undefined && !first.required) rest.unshift(`-${word.slice(2)}`);
}

function findOption(command: CommandUnknownOpts, word: string): Option | undefined {
  return command.options.find(({ short, long }) => word === short || word === long);
}
