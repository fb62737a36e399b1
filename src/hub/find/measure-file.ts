import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import type { Fix } from "../../base/fix.ts";

/** The place that names a file, for messages. */
export interface NamedAt {
  readonly at?: string | undefined;
}

/**
 * The size of a readable, regular, non-empty file; undefined when it does not exist. A dangling link does not exist.
 * @throws LlmctlError `model-not-a-file`, `model-empty` or `permission-denied`.
 */
export async function measureFile(path: string, place: NamedAt, fix: Fix): Promise<number | undefined> {
  try {
    const stats = await stat(path);
    if (!stats.isFile())
      throw unusable(
        "model-not-a-file",
        `"${path}" is ${stats.isDirectory() ? "a folder" : "not a regular file"}`,
        fix,
        place,
      );
    if (stats.size === 0) throw unusable("model-empty", `"${path}" is empty`, fix, place);
    await access(path, constants.R_OK);
    return stats.size;
  } catch (error) {
    return absentOrThrow(error, path, place);
  }
}

/** @returns undefined when the error says that there is no such file. @throws any other error. */
export function absentOrThrow(error: unknown, path: string, place: NamedAt): undefined {
  const code = systemErrorCode(error);
  // A file cannot have such a name, or be behind circular links.
  if (["ENOENT", "ENOTDIR", "ENAMETOOLONG", "ELOOP"].includes(code ?? "")) return undefined;
  if (code !== "EACCES" && code !== "EPERM") throw error;
  throw new LlmctlError("permission-denied", `no permission to read "${path}"`, {
    exit: "permission",
    ...placeOf(place),
    fix: `check its permissions: ls -ld "${dirname(path)}" "${path}"`,
    cause: error,
  });
}

function unusable(code: string, message: string, fix: Fix, place: NamedAt): LlmctlError {
  return new LlmctlError(code, message, { exit: "missingFile", ...placeOf(place), fix });
}

/** For an error's options. */
export function placeOf({ at }: NamedAt): { at?: string } {
  return at === undefined ? {} : { at };
}
