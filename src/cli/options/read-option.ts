import { InvalidArgumentError } from "@commander-js/extra-typings";
import { parseDuration, parseSize } from "../../base/text/units.ts";

// Parsers for the values of options. Commander adds the option's name to the message of a wrong value.

export function readDuration(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new InvalidArgumentError("Write a time such as 90s or 30m.");
  return ms;
}

export function readRate(text: string): number {
  const bytes = parseSize(text);
  if (bytes === undefined || bytes === 0) throw new InvalidArgumentError("Write a size such as 50MB or 8MiB.");
  return bytes;
}

/** A time in the past: so long ago, or as ISO 8601 writes it, in the local zone unless it names one. */
export function readTime(text: string): Date {
  const agoMs = parseDuration(text);
  const time =
    agoMs === undefined && /^\d{4}-\d{2}-\d{2}/.test(text)
      ? new Date(text)
      : new Date(Date.now() - (agoMs ?? Number.NaN));
  if (Number.isNaN(time.getTime()))
    throw new InvalidArgumentError("Write how long ago, such as 10m, or a time such as 2026-11-24T10:18.");
  return time;
}

export function readCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError("Write a whole number.");
  return Number(text);
}

export function readPort(text: string): number | "auto" {
  const port = Number(text);
  if (text !== "auto" && (!/^\d{1,5}$/.test(text) || port < 1 || port > 65535)) {
    throw new InvalidArgumentError("Write a number from 1 to 65535, or auto.");
  }
  return text === "auto" ? text : port;
}
