import { nameCharacter } from "../base/text/control-characters.ts";
import { LlmctlError } from "../base/errors.ts";

/** A value on its way into a text for another program. */
export interface OwnedValue {
  /** The key, variable or file that it is of, for people: `env.NAME`, `"server.api_key_file"`. */
  readonly owner: string;
  readonly text: string;
  /** Where it was written. */
  readonly at?: string | undefined;
}

/** @throws LlmctlError `value-unwritable` for a value with a character that the format has no way to say. */
export function expectWritable({ owner, text, at }: OwnedValue, format: string, forbidden: RegExp): void {
  const character = forbidden.exec(text)?.[0];
  if (character !== undefined)
    throw unwritable(owner, `holds ${nameCharacter(character)}, which ${format} cannot say`, at);
}

export function unwritable(owner: string, problem: string, at?: string): LlmctlError {
  return new LlmctlError("value-unwritable", `${owner} ${problem}`, {
    exit: "config",
    ...(at === undefined ? {} : { at }),
    fix: "write another value",
  });
}
