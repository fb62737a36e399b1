import { resolve } from "node:path";
import { findPaths } from "../base/paths.ts";
import { parseDuration } from "../base/units.ts";
import { askedPriority } from "../llama/priority-rights.ts";
import { renderUnit } from "../systemd/unit.ts";
import { openProfile } from "./context.ts";

/** What decides where files are; a service does not see the caller's shell. */
const pathVariables = ["LLMCTL_HOME", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"];

/**
 * `systemd show NAME`: the unit that runs the profile, for the machine's manager when root asks and else for the user's own.
 * @returns the text to print
 * @throws LlmctlError of a profile that cannot be loaded
 */
export async function systemdShow(nameOrPath: string): Promise<string> {
  const { env } = process;
  const paths = findPaths(env);
  const { name, path, values } = await openProfile(nameOrPath, paths);
  const stopTimeoutMs = parseDuration(values.stop.timeout);
  if (stopTimeoutMs === undefined) throw new Error(`a checked profile holds the duration "${values.stop.timeout}"`);
  const set = pathVariables.flatMap((key) => (env[key] ? [[key, resolve(env[key])] as const] : []));
  return renderUnit({
    name,
    ...(values.description === undefined ? {} : { description: values.description }),
    profilePath: path,
    dependsOn: values.depends_on,
    nodePath: process.execPath,
    execPath: resolve(process.argv[1] ?? ""),
    scope: process.getuid?.() === 0 ? "system" : "user",
    stopTimeoutMs,
    priority: askedPriority(values.priority),
    writable: [...(env["LLMCTL_HOME"] ? [resolve(env["LLMCTL_HOME"])] : [paths.cache]), paths.hub],
    environment: Object.fromEntries(set),
  });
}
