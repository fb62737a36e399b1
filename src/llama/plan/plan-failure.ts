import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { mayComeCodes } from "../../supervisor/file-check.ts";
import type { ExitCause } from "../../supervisor/launch.ts";

/**
 * Codes of errors about a file that is not there: its file system may be mounted later. A file that is there and wrong
 * stays wrong.
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
 * What the binary says of a device that has no driver yet, and of a file or folder that a flag names.
 * @see llama.cpp common/arg.cpp
 */
const absentToBinary = /: (?:invalid device: |error: failed to open file '|not a directory: )/;

/** A machine that boots is slow; and an interpreter is a file, too. */
const lackedOrSlow = /in time$|is missing$/;

/**
 * Why a launch could not be planned, for a supervisor that may wait for what is missing.
 * @returns undefined for an error that is neither ours nor the system's word on a file.
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
