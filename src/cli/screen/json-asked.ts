import type { CommandUnknownOpts, Option } from "@commander-js/extra-typings";

/**
 * Whether a command line asks for JSON, of a command that has it or not. Commander cannot tell: it stops at the first
 * mistake, which may come before `--json`. As with commander, neither the value of an option nor a word behind `--` is
 * an option.
 * @param words What follows the program's name.
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
  return command.commands.find((one) => one.name() === word || one.aliases().includes(word));
}

/** Takes away the value of an option that has one in a word of its own; of `-af` the letters after the first. */
function skipValue(command: CommandUnknownOpts, word: string, rest: string[]): void {
  const whole = findOption(command, word);
  if (whole !== undefined) {
    if (takesNext(whole, rest[0])) rest.shift();
    return;
  }
  if (word.startsWith("--") || word.length === 2) return;
  const first = findOption(command, word.slice(0, 2));
  if (first !== undefined && !first.required) rest.unshift(`-${word.slice(2)}`);
}

function findOption(command: CommandUnknownOpts, word: string): Option | undefined {
  return command.options.find(({ short, long }) => word === short || word === long);
}

function takesNext({ required, optional }: Option, next: string | undefined): boolean {
  return required || (optional && next !== undefined && !next.startsWith("-"));
}
