import { describe, expect, test } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import type { ExitName } from "../../../../src/base/exit-codes.ts";
import { explainPlanFailure } from "../../../../src/llama/plan/plan-failure.ts";

function failure(code: string, message: string, cause?: unknown, exit: ExitName = "missingFile"): LlmctlError {
  return new LlmctlError(code, message, { exit, fix: "do", cause });
}

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: stat '/m'`), { code });
}

describe("the reason of a failed plan", () => {
  test.each([
    failure("model-missing", "it is missing"),
    failure("file-missing", "it is missing"),
    failure("binary-missing", "it does not exist"),
    failure("binary-library-missing", "it needs libcuda.so.1"),
    failure("build-missing", "none is installed"),
    failure("build-unknown", "no build"),
    failure("worker-missing", "no RPC server"),
    failure("api-key-file-missing", "it does not exist"),
    failure("flag-refused", 'llama.cpp refuses "devices": --device: invalid device: CUDA0', undefined, "unavailable"),
    failure(
      "flag-refused",
      `llama.cpp refuses "server.api_key_file": --api-key-file: error: failed to open file '/k'`,
      undefined,
      "config",
    ),
    failure(
      "flag-refused",
      'llama.cpp refuses "server.slot_save_path": --slot-save-path: not a directory: /s',
      undefined,
      "config",
    ),
    failure("binary-failed", '"/s" did not answer --help in time'),
    failure("binary-failed", '"/s" cannot be started: the interpreter or loader that it names is missing'),
    failure("file-unreadable", "cannot be read", failure("file-unreadable", "cannot be read", systemError("ESTALE"))),
    systemError("EIO"),
    systemError("ENOTCONN"),
  ])("%s is temporary", (error) => {
    expect(explainPlanFailure(error)).toMatchObject({ permanent: true, mayCome: true });
  });

  test.each([
    failure("truncated", "is truncated"),
    failure("not-gguf", "is no GGUF file"),
    failure("model-empty", "is empty"),
    failure("model-damaged", "is damaged"),
    failure("split-set", "not the first shard"),
    failure("permission-denied", "no permission", systemError("EACCES"), "permission"),
    failure("flag-refused", 'llama.cpp refuses "args": --what: stoi', undefined, "config"),
    failure("flag-refused", "llama.cpp refuses its command line: invalid argument: --what", undefined, "config"),
    failure("profile-unrenderable", "no flag", undefined, "config"),
    failure("draft-mismatch", "does not fit", undefined, "config"),
    failure("binary-failed", '"/s" died of SIGILL'),
    failure("binary-garbage", "is neither a program nor a script"),
  ])("%s is permanent", (error) => {
    const cause = explainPlanFailure(error);
    expect(cause).toMatchObject({
      kind: error.code,
      message: error.message,
      fix: "do",
      permanent: true,
      exit: error.exit,
    });
    expect(cause?.mayCome).toBeUndefined();
  });

  test.each([new TypeError("x is undefined"), systemError("EACCES"), "text"])("%s is not explained", (error) => {
    expect(explainPlanFailure(error)).toBeUndefined();
  });
});
