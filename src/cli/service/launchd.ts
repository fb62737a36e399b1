import { join, resolve } from "node:path";
import { findPaths } from "../../base/files/paths.ts";
import { parseDuration } from "../../base/text/units.ts";
import { renderLaunchd } from "../../services/launchd-plist.ts";
import { openProfile } from "../options/context.ts";

/** Also finds the tools that Homebrew has installed. */
const searchPath = "/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

/**
 * `launchd show NAME`: the property list that runs the profile.
 * @throws LlmctlError of a profile that cannot be loaded
 */
export async function launchdShow(nameOrPath: string): Promise<string> {
  const { env } = process;
  const paths = findPaths(env);
  const { name, path, values } = await openProfile(nameOrPath, paths);
  const stopTimeoutMs = parseDuration(values.stop.timeout);
  if (stopTimeoutMs === undefined) throw new Error(`a checked profile holds the duration "${values.stop.timeout}"`);
  return renderLaunchd({
    name,
    profilePath: path,
    nodePath: process.execPath,
    execPath: resolve(process.argv[1] ?? ""),
    stopTimeoutMs,
    logPath: join(paths.state, `${name}.launchd.log`),
    environment: { PATH: searchPath, ...(env["LLMCTL_HOME"] ? { LLMCTL_HOME: resolve(env["LLMCTL_HOME"]) } : {}) },
  });
}
