import { homedir, tmpdir, userInfo } from "node:os";
import { join } from "node:path";

type Env = Readonly<Record<string, string | undefined>>;

/** The folders that llmctl uses; absolute paths, created by whoever writes there first (mode 0700). */
export interface Paths {
  /** Locks, control sockets. Gone after a reboot. */
  readonly runtime: string;
  /** One folder a profile: state and logs. */
  readonly state: string;
  /** Installed llama.cpp builds. */
  readonly data: string;
  /** What can be made again: flag catalogues, downloaded sources. */
  readonly cache: string;
  /** The user's own profiles. */
  readonly config: string;
  /** The Hugging Face cache, shared with the Python client. */
  readonly hub: string;
}

/**
 * Where llmctl keeps its files.
 *
 * `LLMCTL_HOME` puts all of it, but the Hugging Face cache, under one folder; else root uses `/run` and `/var/lib`, and everyone else
 * the XDG base directories.
 */
export function findPaths(env: Env = process.env, uid: number = process.getuid?.() ?? -1): Paths {
  const home = env["HOME"] ?? homedir();
  const xdgCache = env["XDG_CACHE_HOME"] ?? join(home, ".cache");
  const hub = env["HF_HUB_CACHE"] ?? join(env["HF_HOME"] ?? join(xdgCache, "huggingface"), "hub");
  const own = env["LLMCTL_HOME"];
  if (own) {
    return {
      runtime: join(own, "run"),
      state: join(own, "state"),
      data: join(own, "data"),
      cache: join(own, "cache"),
      config: join(own, "config"),
      hub,
    };
  }
  const data = join(env["XDG_DATA_HOME"] ?? join(home, ".local/share"), "llmctl");
  const shared = { data, cache: join(xdgCache, "llmctl"), config: join(env["XDG_CONFIG_HOME"] ?? join(home, ".config"), "llmctl"), hub };
  if (uid === 0) return { runtime: "/run/llmctl", state: "/var/lib/llmctl", ...shared };
  const runtimeHome = env["XDG_RUNTIME_DIR"];
  return {
    runtime: runtimeHome ? join(runtimeHome, "llmctl") : join(tmpdir(), `llmctl-${userInfo().uid}`),
    state: join(env["XDG_STATE_HOME"] ?? join(home, ".local/state"), "llmctl"),
    ...shared,
  };
}
