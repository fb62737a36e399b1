import { LlmctlError, type Problem } from "../../base/errors.ts";

const systemVariables = ["PATH", "HOME", "USER", "LOGNAME", "LANG", String.raw`LC_\w+`, "TZ", "TMPDIR"];
const loaderVariables = ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"];
const nvidiaPrefixes = ["CUDA", "NVIDIA"];
const amdPrefixes = ["HIP", "HSA", "ROCR", "ROCM"];
const intelPrefixes = ["ONEAPI", "SYCL", "ZE"];
const computePrefixes = [...nvidiaPrefixes, ...amdPrefixes, "VK", "GGML", "OMP", "GOMP", "KMP", ...intelPrefixes];

/**
 * The variables that the server inherits from our own environment. It does not inherit, on purpose: `LLAMA_ARG_*`,
 * which llama.cpp reads as flags; the variables with which systemd reaches the supervisor; tokens; `XDG_CONFIG_HOME`,
 * which would make llama.cpp read one of its config files.
 */
const inherited = new RegExp(
  String.raw`^(?:${[...systemVariables, ...loaderVariables].join("|")}|(?:${computePrefixes.join("|")})_\w+)$`,
);

/**
 * Variables that llama.cpp reads as flags: a profile must not set them, since the checks see only the command line.
 * Builds up to spring 2026 have other names.
 */
const flagVariable = /^LLAMA_(?:ARG_|LOG_|OFFLINE$|CHAT_TEMPLATE_KWARGS$)/;

/**
 * The whole environment of the server.
 * @param at The place of a variable in the profile's `env`.
 * @throws LlmctlError `env-refused`, which names every variable of the profile that must be a key or a raw flag
 *   instead.
 */
export function childEnvironment(
  own: NodeJS.ProcessEnv,
  profileEnv: Readonly<Record<string, string>>,
  at: (name: string) => string,
): Record<string, string> {
  const [first, ...rest] = Object.keys(profileEnv).flatMap((name) => explainRefused(name, at(name)) ?? []);
  if (first !== undefined)
    throw new LlmctlError("env-refused", first.message, { exit: "config", at: first.at, fix: first.fix }, rest);
  // Without this a crash starts a debugger for a backtrace, which is slow, and whose output hides llama.cpp's last lines.
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
      fix: "set the key with the same meaning, or give the flag in args",
    };
  }
  if (name === "LLAMA_API_KEY")
    return {
      message: `"${name}" in env sets an API key`,
      at,
      fix: "put the key in a file and name the file in server.api_key_file",
    };
  return undefined;
}
