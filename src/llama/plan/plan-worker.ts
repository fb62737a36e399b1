import { LlmctlError, type Problem } from "../../base/errors.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import { childEnvironment } from "../ask/child-env.ts";
import type { RenderedFlag } from "../render/flag-rule.ts";
import type { PlanSession } from "./plan-session.ts";

/** The command of a worker, and the key that each of its flags comes from. */
export interface WorkerPlan {
  readonly file: string;
  /** The llama-server of the same build. */
  readonly server: string;
  readonly env: Readonly<Record<string, string>>;
  readonly flags: readonly RenderedFlag[];
  /** For people. */
  readonly build: string;
}

/**
 * Plans the command of a profile with `kind: rpc-worker`. Starts nothing but `--help`.
 * @throws LlmctlError `profile-unrenderable` for a key that the build has no flag for, and as `askWorkerProgram`.
 */
export async function planWorker(profile: Profile, session: PlanSession): Promise<WorkerPlan> {
  const env = childEnvironment(session.env, profile.values.env, (name) => profile.at("env", name));
  const { file, server, label, flags } = await session.findWorker(profile, env);
  return { file, server, env, flags: renderWorker(profile, flags), build: label };
}

function renderWorker(profile: Profile, known: ReadonlySet<string>): RenderedFlag[] {
  const { server, devices, threads, rpc } = profile.values;
  const flags = [
    flag("server.host", ["--host", server.host]),
    flag("server.port", ["--port", String(server.port)]),
    ...(devices === undefined ? [] : [flag("devices", ["--device", devices.join(",")])]),
    // Without the flag it chooses the number itself; no value of the flag means that.
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
