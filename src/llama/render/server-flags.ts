import { integerRule, pairRule, type FlagRule, serverOnly, switchRule, valueRule } from "./flag-rule.ts";

/** Keys of the HTTP server whose values llmctl itself uses, so raw `args` may not set them. */
export const reservedServerRules: readonly FlagRule[] = [
  valueRule("server.api_key_file", ["--api-key-file"], ({ server }) => server.api_key_file),
  switchRule("server.metrics", ["--metrics"], ({ server }) => server.metrics || undefined),
].map(serverOnly);

/** Keys of the HTTP server whose values llmctl itself does not read. */
export const serverRules: readonly FlagRule[] = [
  pairRule("server.slots", { on: ["--slots"], off: ["--no-slots"] }, ({ server }) => server.slots),
  valueRule("server.slot_save_path", ["--slot-save-path"], ({ server }) => server.slot_save_path),
  switchRule("server.props", ["--props"], ({ server }) => server.props),
  pairRule("server.ui", { on: ["--ui", "--webui"], off: ["--no-ui", "--no-webui"] }, ({ server }) => server.ui),
  integerRule("server.threads_http", ["--threads-http"], ({ server }) => server.threads_http),
  integerRule("server.sleep_idle_seconds", ["--sleep-idle-seconds"], ({ server }) => server.sleep_idle_seconds),
].map(serverOnly);
