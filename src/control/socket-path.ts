import { join } from "node:path";
import { LlmctlError } from "../base/errors.ts";

/** sun_path holds 104 bytes on macOS and 108 on Linux; Node cuts a longer path short without a word. */
const maxBytes = 103;

/** The control socket of a profile. @throws LlmctlError `socket-path-too-long`. */
export function controlSocketPath(runtimeDir: string, name: string): string {
  const path = join(runtimeDir, `${name}.sock`);
  const bytes = Buffer.byteLength(path);
  if (bytes <= maxBytes) return path;
  throw new LlmctlError("socket-path-too-long", `the control socket's path has ${bytes} bytes, at most ${maxBytes} are possible`, {
    exit: "config",
    at: path,
    fix: "set XDG_RUNTIME_DIR or LLMCTL_HOME to a shorter path",
  });
}
