import { LlmctlError } from "../base/errors.ts";
import { findPaths } from "../base/paths.ts";
import { fetchStatus, requestStop } from "../control/client.ts";
import { controlSocketPath } from "../control/socket-path.ts";

/** Stops a profile; returns when its server is gone. @throws LlmctlError `not-running`, `orphan-stuck`. */
export async function down(name: string, force: boolean): Promise<number> {
  const paths = findPaths();
  const socketPath = controlSocketPath(paths.runtime, name);
  // Asked first: a stop has no time limit of its own, and a supervisor that does not answer would be waited for in vain.
  const running = await fetchStatus(socketPath);
  if (running !== undefined && (await requestStop(socketPath, force)) !== undefined) {
    process.stdout.write(`stopped "${name}"\n`);
    return 0;
  }
  // Loaded only where no supervisor has answered: the usual `down` need not wait for it.
  const { endOrphan, findOrphan } = await import("../supervisor/ownership.ts");
  const orphan = await findOrphan(paths.state, name);
  if (orphan === undefined) throw notRunning(name);
  await endOrphan(orphan, name);
  process.stdout.write(`stopped "${name}": its supervisor was gone, the server (pid ${orphan.pid}) was still there\n`);
  return 0;
}

/** The error of every command that acts on a running profile. */
export function notRunning(name: string): LlmctlError {
  return new LlmctlError("not-running", `"${name}" is not running`, { exit: "notRunning", fix: 'see "llmctl ps" for what runs' });
}
