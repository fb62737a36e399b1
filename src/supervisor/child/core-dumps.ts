import { execFile } from "node:child_process";
import { findTool } from "../../base/files/find-tool.ts";
import { readSoftLimit } from "../../base/process-limits.ts";

/** `LLMCTL_CORE_DUMPS=1` keeps the limit, for someone who investigates a crash. */
export function mayDumpCore(env: NodeJS.ProcessEnv = process.env): boolean {
  return env["LLMCTL_CORE_DUMPS"] === "1";
}

/**
 * Sets this process's limit for core files to 0; the server inherits it. A core file would write API keys, the server's
 * environment and prompts to a disk. Node cannot set a limit, so `prlimit` of util-linux does. Most machines allow no
 * core files anyway.
 * @param warn Called with the reason when core files are still possible.
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
