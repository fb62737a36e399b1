import { nameCharacter } from "../base/text/control-characters.ts";
import { LlmctlError } from "../base/errors.ts";

/** A value to be written into a text for another program. */
export interface OwnedValue {
  /** Its key, variable or file, for people: `env.NAME`, `"server.api_key_file"`. */
  readonly owner: string;
  readonly text: string;
  /** Place in the profile. */
  readonly at?: string | undefined;
}

/** @throws LlmctlError `value-unwritable` for a value with a character that the format cannot express. */
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
