import { LlmctlError } from "../../base/errors.ts";
import type { Fix } from "../../base/fix.ts";
import { howToGetBinary } from "./check-binary.ts";
import { parseRefusal } from "./refusal-text.ts";
import { type BriefRun, runBriefly } from "./run-briefly.ts";

type FailedRun = Omit<BriefRun, "failed" | "stdout">;

/**
 * The error for a failed run of a checked binary; it names the file.
 * @param task What the run was for, as a verb: `answer --help`.
 */
export async function explainFailedRun(
  file: string,
  task: string,
  env: Readonly<Record<string, string>>,
  run: FailedRun,
): Promise<LlmctlError> {
  if (run.timedOut) return failed(file, `did not ${task} in time`);
  if (run.isMaxBuffer === true) return failed(file, `printed too much when asked to ${task}`);
  if (run.code === "ENOENT")
    return failed(file, "cannot be started: the interpreter or loader that it names is missing");
  if (run.signal !== undefined) return failed(file, `died of ${run.signal} when asked to ${task}`, diedFix);
  if (run.exitCode === undefined) return failed(file, `cannot be started: ${run.code ?? "unknown reason"}`);
  if (run.exitCode === 127) {
    const libraries = await findMissingLibraries(file, env, run.stderr);
    if (libraries.length > 0) return libraryMissing(file, libraries);
  }
  const refusal = parseRefusal(run.stderr);
  return failed(file, `failed to ${task}${refusal === undefined ? "" : `: ${refusal.message}`}`, refusal?.fix);
}

const diedFix: Fix = { before: "if it was built for another CPU, run", run: ["build", "--portable"] };

function failed(file: string, what: string, fix: Fix = howToGetBinary): LlmctlError {
  return new LlmctlError("binary-failed", `"${file}" ${what}`, { exit: "missingFile", at: file, fix });
}

function libraryMissing(file: string, libraries: readonly string[]): LlmctlError {
  const cuda = libraries.some((name) => /^lib(?:cuda|cudart|cublas|cublasLt|nccl)\.so/.test(name));
  return new LlmctlError(
    "binary-library-missing",
    `"${file}" needs ${libraries.join(", ")}, which this machine does not have`,
    {
      exit: "missingFile",
      at: file,
      fix: cuda
        ? "install the CUDA libraries (and the driver), or set LD_LIBRARY_PATH in the profile's env"
        : {
            before: "install the library, or set LD_LIBRARY_PATH in the profile's env, or rebuild with",
            run: ["build"],
          },
    },
  );
}

/** All missing libraries, from `ldd`; the loader itself names only the first. */
async function findMissingLibraries(
  file: string,
  env: Readonly<Record<string, string>>,
  stderr: string,
): Promise<string[]> {
  const list = await runBriefly("ldd", [file], { env, timeoutMs: 10_000 });
  const missing = list.failed
    ? []
    : [...list.stdout.matchAll(/^[ \t]*(\S+) => not found/gm)].map((match) => match[1] ?? "");
  const named = /error while loading shared libraries: ([^:]+):/.exec(stderr)?.[1];
  return missing.length > 0 || named === undefined ? [...new Set(missing)] : [named];
}
