import type { Fix } from "../../base/fix.ts";

/** Why a llama.cpp program refused its command line, in its own words. */
export interface Refusal {
  readonly message: string;
  /** The flag that it names, in the spelling that it uses. */
  readonly flag?: string;
  readonly fix?: Fix;
}

/**
 * Parses the error that a llama.cpp program wrote to stderr before it exited; undefined when it wrote nothing.
 * @see `parse` in llama.cpp's common/arg.cpp, whose formats are the same since early 2025
 */
export function parseRefusal(stderr: string): Refusal | undefined {
  const unknown = /^error: invalid argument: (.+)$/m.exec(stderr)?.[1];
  if (unknown !== undefined) return { message: `invalid argument: ${unknown}`, flag: unknown };
  const [, flag, why] = /^error while handling argument "([^"]+)": (.+)$/m.exec(stderr) ?? [];
  if (flag !== undefined && why !== undefined) return { message: `${flag}: ${translate(why)}`, flag };
  const [, name, reason] = /^error while handling environment variable "([^"]+)": (.+)$/m.exec(stderr) ?? [];
  if (name !== undefined && reason !== undefined)
    return { message: `environment variable ${name}: ${translate(reason)}` };
  const last = stderr.trim().split("\n").at(-1)?.trim();
  if (last === undefined || last === "") return undefined;
  const config = /using config file: (.+)$/m.exec(stderr)?.[1];
  return config === undefined
    ? { message: last }
    : { message: translate(last), fix: `look at "${config}", which llama.cpp reads before its command line` };
}

/**
 * For a text that is not a number, or out of range, llama.cpp prints only the name of the C++ conversion function
 * (`stoi`).
 */
function translate(why: string): string {
  const reason = why.trim();
  return /^sto(?:i|f|d|l|ul|ull|ll)$/.test(reason) ? `not a number, or out of range (${reason})` : reason;
}
