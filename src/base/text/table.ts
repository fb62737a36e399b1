import { printableName } from "./printable.ts";

// Control characters become blanks: a column has no room to show them.
// oxlint-disable-next-line no-control-regex -- these are the characters
const controls = /[\u0000-\u001f\u007f-\u009f]+/g;

/**
 * A table for people: columns are two spaces apart, without boxes, and a line ends with `…` at the terminal's width.
 * Every row has as many cells as the header.
 */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[], width: number): string {
  const cells = [header, ...rows].map((row) => row.map((cell) => printableName(cell.replace(controls, " "))));
  const widths = header.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  return cells
    .map((row) => `${cut(row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  "), width)}\n`)
    .join("");
}

function cut(line: string, width: number): string {
  const text = line.trimEnd();
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1)).replace(/[\ud800-\udbff]$/, "")}…`;
}
