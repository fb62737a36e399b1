import { execFile } from "node:child_process";
import { findTool } from "../../base/files/find-tool.ts";
import { readSoftLimit } from "../../base/process-limits.ts";

/** For who looks for the cause of a crash: `LLMCTL_CORE_DUMPS=1` leaves the limit as it is. */
export function mayDumpCore(env: NodeJS.ProcessEnv = process.env): boolean {
  return env["LLMCTL_CORE_DUMPS"] === "1";
}

/**
 * A crash of this process, or of the server that inherits its limit, would write its memory to a disk: API keys, the
 * server's environment, prompts. Node cannot set a limit, a tool of the package that has `setpriv` can. Most machines
 * allow no core files anyway.
 * @param warn Told why core files are still possible.
 */
export async function forbidCoreDumps(warn: (text: string) => void): Promise<void> {
  const tool = findTool("prlimit");
  if (mayDumpCore() || tool === undefined || (readSoftLimit("Max core file size") ?? 0) === 0) return;
  await new Promise<void>((resolve) => {
    execFile(tool, ["--pid", String(process.pid), "--core=0:"], (error) => {
      if (error !== null) warn(`a crash may write secrets into a core file: ${error.message}`);
      resolve();
    });
  });
}
