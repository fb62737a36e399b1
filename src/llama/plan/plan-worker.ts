import { dirname, join } from "node:path";
import { LlmctlError, type Problem } from "../../base/errors.ts";
import type { Paths } from "../../base/files/paths.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import { checkBinary } from "../ask/check-binary.ts";
import { explainFailedRun } from "../ask/failed-run.ts";
import { findServer } from "../ask/builds.ts";
import { childEnvironment } from "../ask/child-env.ts";
import type { RenderedFlag } from "../render/flag-rule.ts";
import { runBriefly } from "../ask/run-briefly.ts";

/** llama.cpp's RPC server, as the releases name it, newest first. */
const programs = ["ggml-rpc-server", "rpc-server"];

/** The command of a worker, and where each of its flags comes from. */
export interface WorkerPlan {
  readonly file: string;
  readonly server: string;
  readonly env: Readonly<Record<string, string>>;
  readonly flags: readonly RenderedFlag[];
  /** For people. */
  readonly build: string;
}

/**
 * From a profile with `kind: rpc-worker` to its command. Starts nothing but `--help`.
 * @throws LlmctlError `worker-missing` for a build without one, `profile-unrenderable` for a key that it has no flag
 *   for, and what finding and checking a binary throws.
 */
export async function planWorker(
  profile: Profile,
  { paths, env }: { paths: Paths; env: NodeJS.ProcessEnv },
): Promise<WorkerPlan> {
  const { values } = profile;
  const childEnv = childEnvironment(env, values.env, (name) => profile.at("env", name));
  const { server, label } = await findServer(values.llama, paths.data, profile.at("llama"));
  const file = await findProgram(server, profile.at("llama"));
  const known = await readFlags(file, childEnv);
  return { file, server, env: childEnv, flags: renderWorker(profile, known), build: label };
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

function renderWorker(profile: Profile, known: ReadonlySet<string>): RenderedFlag[] {
  const { server, devices, threads, rpc } = profile.values;
  const flags = [
    flag("server.host", ["--host", server.host]),
    flag("server.port", ["--port", String(server.port)]),
    ...(devices === undefined ? [] : [flag("devices", ["--device", devices.join(",")])]),
    // It knows no word for "choose yourself", which is what it does unless told.
    ...(threads === undefined || threads < 1 ? [] : [flag("threads", ["--threads", String(threads)])]),
    ...(rpc.cache === true ? [flag("rpc.cache", ["--cache"])] : []),
  ];
  const [first, ...more] = flags
    .filter(({ args: [name = ""] }) => !known.has(name))
    .map((one) => lacking(one, profile));
  if (first === undefined) return flags;
  throw new LlmctlError("profile-unrenderable", first.message, { exit: "config", at: first.at, fix: first.fix }, more);
}

function flag(key: string, args: readonly string[]): RenderedFlag {
  return { key, path: key.split("."), args };
}

function lacking({ key, path }: RenderedFlag, profile: Profile): Required<Problem> {
  return {
    message: `this build's RPC server has no flag for ${key}`,
    at: profile.at(...path),
    fix: "remove the key, or use a newer build",
  };
}
