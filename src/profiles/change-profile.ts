import { readFile } from "node:fs/promises";
import { createFileAtomic, replaceFileAtomic } from "../base/files/atomic-write.ts";
import { LlmctlError, type Problem, systemErrorCode } from "../base/errors.ts";
import { readProfileText } from "./find.ts";
import { type LoadOptions, resolveProfile } from "./load.ts";
import { quote } from "./yaml/quote-value.ts";
import type { SourceText } from "./yaml/located.ts";

const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf]);

/**
 * Changes the file of a profile if the result is a valid profile. Other readers see the old text or the new one.
 * @param change Makes the new text from the present one.
 * @returns whether the file was written.
 * @throws LlmctlError as loading does, with places in the changed text; `profile-changed` when somebody else has
 * written the file in the meantime.
 */
export async function changeProfile(
  source: SourceText,
  change: (text: string) => string,
  load: LoadOptions,
): Promise<boolean> {
  const before = await readProfileText(source);
  const after = change(before);
  if (after === before) return false;
  await checkUnwritten(source, after, load);
  await replaceText(source, before, after);
  return true;
}

/**
 * Replaces the text of a file by a checked one that was made from it.
 * @throws LlmctlError `profile-changed`, `profile-unwritable`.
 */
export async function replaceText(source: SourceText, before: string, after: string): Promise<void> {
  await writing(source, async () => {
    const bytes = await readFile(source.path);
    const mark = bytes.subarray(0, 3).equals(byteOrderMark) ? byteOrderMark : Buffer.alloc(0);
    if (!bytes.subarray(mark.length).equals(Buffer.from(before))) throw changedMeanwhile(source);
    await replaceFileAtomic(source.path, Buffer.concat([mark, Buffer.from(after)]));
  });
}

/**
 * Writes a new profile if it is valid.
 * @throws LlmctlError as loading does; `profile-exists`, `profile-unwritable`.
 */
export async function createProfile(source: SourceText, text: string, load: LoadOptions): Promise<void> {
  await checkUnwritten(source, text, load);
  await writing(source, () => createFileAtomic(source.path, text, { mode: 0o644 }));
}

/** @throws LlmctlError `profile-invalid` and others when the text would not be a valid profile in this file. */
export async function checkProfileText(source: SourceText, text: string, load: LoadOptions): Promise<void> {
  await resolveProfile(source.path, { ...load, instead: { path: source.path, text } });
}

/** As {@link checkProfileText}, for a text that is in no file yet; places in it say so. */
async function checkUnwritten(source: SourceText, text: string, load: LoadOptions): Promise<void> {
  try {
    await checkProfileText(source, text, load);
  } catch (error) {
    throw error instanceof LlmctlError ? inUnwritten(error, source) : error;
  }
}

function inUnwritten(error: LlmctlError, source: SourceText): LlmctlError {
  const place = ({ at, ...problem }: Problem): Problem =>
    at === undefined ? problem : { ...problem, at: at.startsWith(`${source.shown}:`) ? `${at} as it would be` : at };
  const [{ message, ...where } = { message: error.message }, ...more] = error.problems.map(place);
  return new LlmctlError(error.code, message, { exit: error.exit, ...where, cause: error }, more);
}

async function writing(source: SourceText, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (cause) {
    const code = systemErrorCode(cause);
    if (code === undefined) throw cause;
    if (code === "EEXIST") throw profileExists(source);
    throw new LlmctlError("profile-unwritable", `profile ${quote(source.name)} cannot be written (${code})`, {
      exit: ["EACCES", "EPERM", "EROFS"].includes(code) ? "permission" : "io",
      at: source.path,
      fix: "run it as a user who may write there, or make a profile of your own that extends it",
      cause,
    });
  }
}

export function profileExists(source: SourceText): LlmctlError {
  return new LlmctlError("profile-exists", `there is a profile ${quote(source.name)} already`, {
    exit: "config",
    at: source.path,
    fix: { run: ["profile", "edit", source.name], or: "take another name" },
  });
}

function changedMeanwhile(source: SourceText): LlmctlError {
  return new LlmctlError(
    "profile-changed",
    `profile ${quote(source.name)} was changed by someone else in the meantime`,
    {
      exit: "busy",
      at: source.path,
      fix: "look at the file, and make your change again",
    },
  );
}
