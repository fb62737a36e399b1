import { join } from "node:path";
import { LlmctlError, type Problem, systemErrorCode } from "../../base/errors.ts";
import { readBounded } from "../../base/files/read-bounded.ts";

/**
 * What the server gets of our own environment. Not among it, on purpose: `LLAMA_ARG_*`, which llama.cpp reads as flags;
 * the variables by which systemd speaks to the supervisor; tokens; `XDG_CONFIG_HOME`, which would bring in a config
 * file of llama.cpp.
 */
const inherited =
  /^(?:PATH|HOME|USER|LOGNAME|LANG|LC_\w+|TZ|TMPDIR|LD_LIBRARY_PATH|DYLD_LIBRARY_PATH|(?:CUDA|NVIDIA|HIP|HSA|ROCR|ROCM|VK|GGML|OMP|GOMP|KMP|ONEAPI|SYCL|ZE)_\w+)$/;

/**
 * A flag in disguise: llama.cpp would apply it under the command line, where no check sees it. Builds up to spring 2026
 * have other names.
 */
const flagVariable = /^LLAMA_(?:ARG_|LOG_|OFFLINE$|CHAT_TEMPLATE_KWARGS$)/;

/**
 * The whole environment of the server.
 * @param at Where a variable of the profile's `env` was written.
 * @throws LlmctlError `env-refused` naming every variable of the profile that must be a key or a raw flag instead.
 */
export function childEnvironment(
  own: NodeJS.ProcessEnv,
  profileEnv: Readonly<Record<string, string>>,
  at: (name: string) => string,
): Record<string, string> {
  const [first, ...rest] = Object.keys(profileEnv).flatMap((name) => explainRefused(name, at(name)) ?? []);
  if (first !== undefined)
    throw new LlmctlError("env-refused", first.message, { exit: "config", at: first.at, fix: first.fix }, rest);
  // A crash would else start a debugger for a backtrace: slow, and its output hides llama.cpp's own last words.
  const env: Record<string, string> = { GGML_NO_BACKTRACE: "1" };
  for (const [name, value] of Object.entries(own)) {
    if (value !== undefined && inherited.test(name)) env[name] = value;
  }
  return { ...env, ...profileEnv };
}

function explainRefused(name: string, at: string): Required<Problem> | undefined {
  if (flagVariable.test(name)) {
    return {
      message: `"${name}" in env is a flag of llama-server`,
      at,
      fix: "set the key of the same meaning, or give the flag in args",
    };
  }
  if (name === "LLAMA_API_KEY")
    return {
      message: `"${name}" in env sets an API key`,
      at,
      fix: "put it in a file and name that in server.api_key_file",
    };
  return undefined;
}

/** A config file of llama.cpp itself, from which builds since v0.4.0 take flags before they read the command line. */
export interface LlamaConfigFile {
  readonly path: string;
  /** The flags that it sets for every program, without their dashes; values are not read, they may be secret. */
  readonly settings: readonly string[];
}

/**
 * The config files of llama.cpp that would apply to a server with this environment. They cannot all be kept away from
 * it (one is in `/etc`), so whoever starts one says so.
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

/** Stops a file in its place that is none, such as a pipe or gigabytes. */
const mostConfigBytes = 1 << 20;

async function readConfig(path: string): Promise<LlamaConfigFile | undefined> {
  try {
    const text = await readBounded(path, mostConfigBytes);
    return { path, settings: text === undefined ? ["(too large to be read)"] : parseSettings(text) };
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === undefined) throw error;
    // A file that we may not read is one that the child, the same user, may not read either.
    return undefined;
  }
}

/** The keys outside any section and in `[*]` and `[default]`; the other sections name models of a router. */
function parseSettings(text: string): string[] {
  let applies = true;
  const settings = new Set<string>();
  for (const line of text.split(/\r?\n/)) {
    const section = /^\s*\[([^\]]*)\]/.exec(line)?.[1];
    if (section !== undefined) applies = section === "*" || section === "default";
    // Not by one pattern: of a line of blanks it would try each to be the last.
    const key = line.includes("=") ? line.slice(0, line.indexOf("=")).trim() : "";
    if (applies && /^[^;#[]/.test(key)) settings.add(key);
  }
  return [...settings];
}
