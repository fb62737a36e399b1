import { printableSentence } from "../../base/text/printable.ts";
import { paint } from "../screen/paint.ts";
import { print } from "../screen/print.ts";

/** Prints a step of a check that went well; more lines stand below its second column. */
export function good(...lines: readonly string[]): void {
  checkLine("green", "ok", ...lines);
}

export function checkLine(colour: Parameters<typeof paint>[0], mark: string, ...lines: readonly string[]): void {
  const text = lines.map(printableSentence).join(`\n${" ".repeat(16)}`);
  print(`${paint(colour, mark.padEnd(4), process.stdout)}  ${text}\n`);
}
