import { LlmctlError } from "../../base/errors.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import { type Device, findMissingDevices, namedDevices } from "../ask/devices.ts";
import { askWorkers } from "../ask/rpc-workers.ts";
import type { Planning } from "./prepare-command.ts";

interface DeviceQuestion {
  /** The llama-server to ask. */
  readonly server: string;
  readonly env: Readonly<Record<string, string>>;
  /** Devices of the profile's workers; undefined where they are not known, and then all of them count as there. */
  readonly remote?: readonly Device[] | undefined;
}

/**
 * Finds the devices that a profile names and that the build does not have here.
 * @returns their names.
 */
export async function addMissingDevices(
  profile: Profile,
  { server, env, remote }: DeviceQuestion,
  { session, findings }: Planning,
): Promise<ReadonlySet<string>> {
  const keys = namedDevices(profile.values);
  const local = keys.length === 0 ? undefined : await findings.settle(() => session.listDevices(server, env));
  if (local === undefined) return new Set();
  const isUnknown = remote === undefined && profile.values.rpc.workers !== undefined;
  const missing = keys
    .flatMap((key) => findMissingDevices(profile, key, [...local, ...(remote ?? [])]))
    .filter(({ name }) => !(isUnknown && /^RPC/i.test(name)));
  for (const { name: _name, ...problem } of missing)
    findings.fail(new LlmctlError("device-missing", problem.message, { exit: "unavailable", ...problem }));
  return new Set(missing.map(({ name }) => name));
}

/** The devices of a profile's workers; undefined where it has none, or where an error says that one cannot be used. */
export async function findRemoteDevices(
  profile: Profile,
  { server, env }: DeviceQuestion,
  { findings }: Planning,
): Promise<readonly Device[] | undefined> {
  const { workers } = profile.values.rpc;
  if (workers === undefined) return undefined;
  const answer = await askWorkers(server, env, workers);
  if (!("worker" in answer)) return answer;
  const { message, fix, worker } = answer;
  const at = profile.at("rpc", "workers", workers.indexOf(worker));
  findings.fail(new LlmctlError("rpc-worker-unusable", message, { exit: "unavailable", at, fix }));
  return undefined;
}
