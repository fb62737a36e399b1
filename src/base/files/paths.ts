import { isAbsolute, join, resolve } from "node:path";
import type { Env } from "../environment.ts";
import { findHome } from "./home-folder.ts";

/** The folders that llmctl uses: absolute paths. The first writer creates a folder (mode 0700). */
export interface Paths {
  /** Control sockets. This folder may vanish or belong to another user; see {@link socketsBeside}. */
  readonly runtime: string;
  /** One folder per profile with lock, state and logs; the same however the user has logged in. */
  readonly state: string;
  /** Installed llama.cpp builds. */
  readonly data: string;
  /** What can be rebuilt: flag catalogues, downloaded sources. */
  readonly cache: string;
  /** The user's own profiles. */
  readonly config: string;
  /** The Hugging Face cache, shared with the Python client. */
  readonly hub: string;
  /** Where llama.cpp keeps what it downloads itself. */
  readonly llamaCache: string;
}

/**
 * State of root. It is not in the home of the service user, who could place links there, and not below HOME, which sudo
 * may keep.
 */
const rootState = "/var/lib/llmctl-root";

/** Home of the user that system services run as. */
export const serviceHome = "/var/lib/llmctl";
/** Folder of the unit files of system services. */
export const unitFolder = "/etc/systemd/system";

/**
 * Where llmctl keeps its files.
 *
 * `LLMCTL_HOME` puts everything except the model caches under one folder. Without it, root uses `/run` and `/var/lib`,
 * and other users the XDG base directories.
 */
export function findPaths(env: Env = process.env, uid: number = process.getuid?.() ?? -1): Paths {
  const home = findHome(env);
  const xdg = (name: string, standard: string) => xdgFolder(env[`XDG_${name}_HOME`]) ?? join(home, standard);
  const hubHome = env["HF_HOME"] || join(xdg("CACHE", ".cache"), "huggingface");
  // The second name is older; the Python client and llama.cpp still read it.
  const hub = resolve(env["HF_HUB_CACHE"] || env["HUGGINGFACE_HUB_CACHE"] || join(hubHome, "hub"));
  const llamaCache = resolve(env["LLAMA_CACHE"] || join(xdg("CACHE", ".cache"), "llama.cpp"));
  if (env["LLMCTL_HOME"]) {
    const own = resolve(env["LLMCTL_HOME"]);
    return {
      runtime: join(own, "run"),
      state: join(own, "state"),
      data: join(own, "data"),
      cache: join(own, "cache"),
      config: join(own, "config"),
      hub,
      llamaCache,
    };
  }
  const shared = {
    data: join(xdg("DATA", ".local/share"), "llmctl"),
    cache: join(xdg("CACHE", ".cache"), "llmctl"),
    config: join(xdg("CONFIG", ".config"), "llmctl"),
    hub,
    llamaCache,
  };
  if (uid === 0) return { runtime: "/run/llmctl", state: rootState, ...shared };
  const runtimeHome = xdgFolder(env["XDG_RUNTIME_DIR"]);
  const state = join(xdg("STATE", ".local/state"), "llmctl");
  return { runtime: runtimeHome === undefined ? socketsBeside(state) : join(runtimeHome, "llmctl"), state, ...shared };
}

/** The folder for control sockets when the runtime folder cannot be used. No profile has a name with a leading dot. */
export function socketsBeside(state: string): string {
  return join(state, ".run");
}

/** The XDG specification: an empty or relative value counts as unset. */
function xdgFolder(value: string | undefined): string | undefined {
  return value !== undefined && isAbsolute(value) ? value : undefined;
}
