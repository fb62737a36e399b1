import { LlmctlError } from "../base/errors.ts";
import type { Paths } from "../base/paths.ts";
import { fetchStatus } from "../control/client.ts";
import { controlSocketPath } from "../control/socket-path.ts";
import { isSocketHost } from "../profiles/host.ts";
import type { Profile } from "../profiles/schema.ts";
import { checkPort } from "../supervisor/port-check.ts";
import type { Findings } from "./check-finding.ts";

export async function isProfileRunning({ name }: Profile, { runtime }: Paths): Promise<boolean> {
  return (await fetchStatus(controlSocketPath(runtime, name))) !== undefined;
}

/** Whether the profile's port or socket is free; only of one that does not run, whose port would be its own. */
export async function addPort(profile: Profile, findings: Findings): Promise<void> {
  const { host, port } = profile.values.server;
  const isSocket = isSocketHost(host);
  const taken = await checkPort({ host, port: port === "auto" ? 0 : port, ...(isSocket ? { socketPath: host } : {}) });
  if (taken === undefined) return;
  const { kind, message, exit, fix } = taken;
  findings.fail(
    new LlmctlError(kind, message, { exit, at: profile.at("server", isSocket ? "host" : "port"), ...(fix === undefined ? {} : { fix }) }),
  );
}
