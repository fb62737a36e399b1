import { join } from "node:path";
import { systemErrorCode } from "../../base/errors.ts";
import { readBounded } from "../../base/files/read-bounded.ts";

/** A config file of llama.cpp itself, from which builds since v0.4.0 take flags before they read the command line. */
export interface LlamaConfigFile {
  readonly path: string;
  /** The flags that it sets for every program, without dashes. Values are not kept, since they may be secret. */
  readonly settings: readonly string[];
}

/**
 * The config files of llama.cpp that apply to a server with this environment. llmctl cannot keep all of them from the
 * server (one is in `/etc`), so it reports them before a start.
 * @param env The environment of the child.
 * @see `common_params_apply_system_config` in llama.cpp's common/arg.cpp
 */
export async function findLlamaConfigFiles(
  env: Readonly<Record<string, string>>,
  etc = "/etc",
): Promise<LlamaConfigFile[]> {
  const user = env["XDG_CONFIG_HOME"] || (env["HOME"] && join(env["HOME"], ".config"));
  const folders = user ? [etc, user] : [etc];
  const found = await Promise.all(folders.map((folder) => readConfig(join(folder, "llama.cpp", "config.ini"))));
  return found.filter((config) => config !== undefined);
}

/** The read limit: the path may hold something else than a config file, such as a pipe or gigabytes. */
const mostConfigBytes = 1 << 20;

async function readConfig(path: string): Promise<LlamaConfigFile | undefined> {
  try {
    const text = await readBounded(path, mostConfigBytes);
    return { path, settings: text === undefined ? ["(too large to be read)"] : parseSettings(text) };
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === undefined) throw error;
    // The child runs as the same user, so it cannot read this file either.
    return undefined;
  }
}

/** The keys outside any section, in `[*]` and in `[default]`; the other sections name models of a router. */
function parseSettings(text: string): string[] {
  let applies = true;
  const settings = new Set<string>();
  for (const line of text.split(/\r?\n/)) {
    const section = /^\s*\[([^\]]*)\]/.exec(line)?.[1];
    if (section !== undefined) applies = section === "*" || section === "default";
    // Not one pattern: on a line of blanks it would try each blank as the last one, which takes quadratic time.
    const key = line.includes("=") ? line.slice(0, line.indexOf("=")).trim() : "";
    if (applies && /^[^;#[]/.test(key)) settings.add(key);
  }
  return [...settings];
}
