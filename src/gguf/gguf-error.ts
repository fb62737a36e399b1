import { LlmctlError } from "../base/errors.ts";
import type { ExitName } from "../base/exit-codes.ts";
import type { Fix } from "../base/fix.ts";

/**
 * - `not-gguf`: not a GGUF file, or one that breaks the format (also: empty, a directory)
 * - `truncated`: the header or the tensor data runs past the end of the file
 * - `unsupported-version`: neither 1, 2 nor 3
 * - `limit-exceeded`: larger than any known model, and not read into memory
 * - `split-set`: a shard is missing, extra, or not the first
 * - `file-missing`, `file-unreadable`: the file cannot be opened or read
 */
export type GgufErrorCode =
  | "not-gguf"
  | "truncated"
  | "unsupported-version"
  | "limit-exceeded"
  | "split-set"
  | "file-missing"
  | "file-unreadable";

interface GgufErrorOptions {
  readonly at?: string;
  readonly fix?: Fix;
  readonly exit?: ExitName;
  readonly cause?: unknown;
}

/** A GGUF file that cannot be used. */
export class GgufError extends LlmctlError {
  override readonly name = "GgufError";
  declare readonly code: GgufErrorCode;

  constructor(code: GgufErrorCode, message: string, options: GgufErrorOptions = {}) {
    super(code, message, { exit: "missingFile", ...options });
  }

  /** The same error with a place and a fix, which only the caller knows. */
  placed(place: { readonly at?: string; readonly fix?: Fix }): GgufError {
    const at = place.at ?? this.at;
    const fix = place.fix ?? this.fix;
    return new GgufError(this.code, this.message, {
      exit: this.exit,
      cause: this,
      ...(at === undefined ? {} : { at }),
      ...(fix === undefined ? {} : { fix }),
    });
  }
}

/** A file that breaks the format. @param at The byte at which it does. */
export function invalidFile(name: string, why: string, at?: number): GgufError {
  const where = at === undefined ? "" : ` (byte ${at})`;
  return new GgufError("not-gguf", `${name} is not a valid GGUF file: ${why}${where}`);
}

/** Quotes the name of a key or tensor for a message, and cuts off a hostile length. */
export function quoteName(name: string): string {
  return JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}…` : name);
}
