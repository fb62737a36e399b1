import { LlmctlError } from "../../base/errors.ts";
import type { Paths } from "../../base/files/paths.ts";
import { isSocketHost } from "../../profiles/rules/host-kinds.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import { findSupervisor } from "../../supervisor/state/find-supervisor.ts";
import { checkPort } from "../../supervisor/port/port-check.ts";
import type { Findings } from "./finding.ts";

/**
 * Whether the profile runs. A supervisor that does not answer is a finding about this profile; the checks of others go
 * on.
 */
export async function isProfileRunning({ name }: Profile, paths: Paths, findings: Findings): Promise<boolean> {
  const found = await findings.settle(() => findSupervisor(paths, name));
  if (found?.answers === false)
    for (const problem of found.reason.problems) findings.add("warning", found.reason.code, problem);
  return found !== undefined;
}

/** Finds a port or socket that is taken. Not for a profile that runs: it has taken the port itself. */
export async function addPort(profile: Profile, findings: Findings): Promise<void> {
  const { host, port } = profile.values.server;
  const isSocket = isSocketHost(host);
  const taken = await checkPort({ host, port: port === "auto" ? 0 : port, ...(isSocket ? { socketPath: host } : {}) });
  if (taken === undefined) return;
  const { kind, message, exit, fix } = taken;
  findings.fail(
    new LlmctlError(kind, message, {
      exit,
      at: profile.at("server", isSocket ? "host" : "port"),
      ...(fix === undefined ? {} : { fix }),
    }),
  );
}
