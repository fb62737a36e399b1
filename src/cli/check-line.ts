import { paint } from "./paint.ts";

/** One line of a check that went well. */
export function good(text: string): void {
  checkLine("green", "ok", text);
}

export function checkLine(colour: Parameters<typeof paint>[0], mark: string, text: string): void {
  process.stdout.write(`${paint(colour, mark.padEnd(4), process.stdout)}  ${text}\n`);
}
