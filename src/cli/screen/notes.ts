import { printableSentence } from "../../base/text/printable.ts";
import { paint } from "./paint.ts";

/** Prints what a person may want to know, on stderr. */
export function note(text: string): void {
  process.stderr.write(`${paint("yellow", "note:")} ${printableSentence(text)}\n`);
}

/** Prints what does not work and stops nothing, on stderr. */
export function warn(text: string): void {
  process.stderr.write(`llmctl: warning: ${printableSentence(text)}\n`);
}

/** Prints what Ctrl-C does, on stderr, below the `^C` of the terminal. */
export function noteInterrupt(text: string): void {
  process.stderr.write(`\n${text}\n`);
}
