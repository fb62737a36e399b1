import { LlmctlError, type Problem } from "../../base/errors.ts";

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
