import { dirname, join } from "node:path";
import { LlmctlError } from "../../base/errors.ts";
import type { Paths } from "../../base/files/paths.ts";
import type { ProfileValues } from "../../profiles/schema/schema.ts";
import { checkBinary } from "./check-binary.ts";
import { explainFailedRun } from "./failed-run.ts";
import { findServer } from "./builds.ts";
import { runBriefly } from "./run-briefly.ts";

/** The names of llama.cpp's RPC server in its releases, newest first. */
const programs = ["ggml-rpc-server", "rpc-server"];

/** The RPC server of a build that has been asked for its flags. */
export interface WorkerProgram {
  /** Absolute path of the RPC server. */
  readonly file: string;
  /** The llama-server beside it, which can list the devices. */
  readonly server: string;
  /** The build's name, for people. */
  readonly label: string;
  /** With their dashes. */
  readonly flags: ReadonlySet<string>;
}

interface WorkerQuestion {
  readonly llama: ProfileValues["llama"];
  /** Where the build is named, for messages. */
  readonly at: string;
  readonly paths: Paths;
  /** The whole environment of the program. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Finds the RPC server of a build and asks it for its flags. Starts nothing but `--help`.
 * @throws LlmctlError `worker-missing` for a build without one, and what finding and checking a binary throws.
 */
export async function askWorkerProgram({ llama, at, paths, env }: WorkerQuestion): Promise<WorkerProgram> {
  const { server, label } = await findServer(llama, paths.data, at);
  const file = await findProgram(server, at);
  return { file, server, label, flags: await readFlags(file, env) };
}

async function findProgram(server: string, at: string): Promise<string> {
  for (const name of programs) {
    const file = join(dirname(server), name);
    try {
      await checkBinary(file, at);
      return file;
    } catch (error) {
      if (!(error instanceof LlmctlError) || error.code !== "binary-missing") throw error;
    }
  }
  throw new LlmctlError("worker-missing", `there is no RPC server beside "${server}"`, {
    exit: "missingFile",
    at,
    fix: { run: ["build", "--rpc"], or: "name a build that has one in llama.build" },
  });
}

/** Its help goes to stderr, in some releases to stdout. */
async function readFlags(file: string, env: Readonly<Record<string, string>>): Promise<ReadonlySet<string>> {
  const result = await runBriefly(file, ["--help"], { env, timeoutMs: 10_000 });
  if (result.failed) throw await explainFailedRun(file, "answer --help", env, result);
  return new Set(`${result.stdout}\n${result.stderr}`.match(/--[a-z-]+/g));
}
