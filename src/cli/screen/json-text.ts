import { printableJson } from "../../base/text/printable.ts";

/** A JSON document for scripts, indented because people read it on a terminal, too. */
export function jsonText(value: unknown): string {
  return `${printableJson(value, 2)}\n`;
}

/** One JSON value of a stream, in one line. */
export function jsonLine(value: unknown): string {
  return `${printableJson(value)}\n`;
}
