import { printableJson } from "../../base/text/printable.ts";

/** A document of JSON for scripts, which people may look at on a terminal. */
export function jsonText(value: unknown): string {
  return `${printableJson(value, 2)}\n`;
}

/** One of many, in one line. */
export function jsonLine(value: unknown): string {
  return `${printableJson(value)}\n`;
}
