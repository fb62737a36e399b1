import { createHash } from "node:crypto";
import type { Launch } from "../../supervisor/launch.ts";

/**
 * Adds the hash of a launch. Two launches with the same hash run the same server in the same way. Of the environment
 * only the profile's part counts, so that `up` from a shell and a start by systemd give the same hash. Files and
 * workers are named by the arguments already, and the protocol follows from the program. Neither a dependency, nor what
 * was measured of the model, nor another version of llmctl is a reason to load a model anew: so `proof` is hashed under
 * `drafting`, its name in versions before 2.
 * @param profileEnv The profile's variables, as `sealEnv` gives them.
 */
export function withHash(profileEnv: string, launch: Omit<Launch, "hash">): Launch {
  const {
    version: _version,
    files: _files,
    env: _env,
    dependsOn: _dependsOn,
    protocol: _protocol,
    rpcWorkers: _rpcWorkers,
    costs: _costs,
    fallback,
    ...rest
  } = launch;
  const hashed = Object.entries(rest).map(([key, value]) => [key === "proof" ? "drafting" : key, value]);
  if (fallback !== undefined) hashed.push(["fallback", fallback.args]);
  return {
    ...launch,
    hash: createHash("sha256")
      .update(JSON.stringify({ profileEnv, ...Object.fromEntries(hashed) }))
      .digest("hex")
      .slice(0, 16),
  };
}
