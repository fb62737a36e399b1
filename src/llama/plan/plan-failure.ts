import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { mayComeCodes } from "../../supervisor/file-check.ts";
import type { ExitCause } from "../../supervisor/launch.ts";

/**
 * Codes of errors about a missing file: its file system may be mounted later. A file that exists and is wrong stays
 * wrong.
 */
const absentFile: ReadonlySet<string> = new Set([
  "model-missing",
  "file-missing",
  "binary-missing",
  "binary-library-missing",
  "worker-missing",
  "build-missing",
  "build-unknown",
  "api-key-file-missing",
]);

/**
 * The binary's errors about a device that has no driver yet, and about a missing file or folder that a flag names.
 * @see llama.cpp common/arg.cpp
 */
const absentToBinary = /: (?:invalid device: |error: failed to open file '|not a directory: )/;

/** A program may be slow while the machine boots, and the interpreter of a script may be missing as well. */
const lackedOrSlow = /in time$|is missing$/;

/**
 * Why a launch could not be planned, for a supervisor that may wait until a missing file or device is there.
 * @returns undefined for a bug: any error that is neither an LlmctlError nor a system error about a file.
 */
export function explainPlanFailure(error: unknown): ExitCause | undefined {
  if (error instanceof LlmctlError) {
    const { code: kind, message, fix, exit } = error;
    const coming = mayCome(error) ? { mayCome: true as const } : {};
    return { kind, message, ...(fix === undefined ? {} : { fix }), permanent: true, ...coming, exit };
  }
  const code = systemErrorCode(error);
  if (code === undefined || !mayComeCodes.has(code)) return undefined;
  return { kind: "file-unreachable", message: (error as Error).message, permanent: true, mayCome: true, exit: "io" };
}

function mayCome({ code, message, cause }: LlmctlError): boolean {
  if (absentFile.has(code)) return true;
  if (code === "flag-refused") return absentToBinary.test(message);
  if (code === "binary-failed") return lackedOrSlow.test(message);
  for (let reason = cause; reason instanceof Error; reason = reason.cause) {
    if (mayComeCodes.has(systemErrorCode(reason) ?? "")) return true;
  }
  return false;
}
