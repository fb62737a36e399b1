import { isAbsolute, join, resolve } from "node:path";
import type { Env } from "../environment.ts";
import { findHome } from "./home-folder.ts";

/** The folders that llmctl uses; absolute paths, created by whoever writes there first (mode 0700). */
export interface Paths {
  /** Control sockets, where they can be there: it may vanish, or be another user's. */
  readonly runtime: string;
  /** One folder a profile: lock, state and logs; the same for every way in which a user can log in. */
  readonly state: string;
  /** Installed llama.cpp builds. */
  readonly data: string;
  /** What can be made again: flag catalogues, downloaded sources. */
  readonly cache: string;
  /** The user's own profiles. */
  readonly config: string;
  /** The Hugging Face cache, shared with the Python client. */
  readonly hub: string;
  /** Where llama.cpp keeps what it downloads itself. */
  readonly llamaCache: string;
}

/**
 * Root's own: never the folder of the user that services of the machine run as, who could put links into it. Not below
 * HOME, which sudo may keep.
 */
const rootState = "/var/lib/llmctl-root";

/** Home of the machine's services. */
export const serviceHome = "/var/lib/llmctl";
/** Where their units are. */
export const unitFolder = "/etc/systemd/system";

/**
 * Where llmctl keeps its files.
 *
 * `LLMCTL_HOME` puts all of it, but the caches of models, under one folder; else root uses `/run` and `/var/lib`, and
 * everyone else the XDG base directories.
 */
export function findPaths(env: Env = process.env, uid: number = process.getuid?.() ?? -1): Paths {
  const home = findHome(env);
  const xdg = (name: string, standard: string) => xdgFolder(env[`XDG_${name}_HOME`]) ?? join(home, standard);
  const hubHome = env["HF_HOME"] || join(xdg("CACHE", ".cache"), "huggingface");
  // The second name is the older one, which the Python client and llama.cpp still read.
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

/** The folder for control sockets where no runtime folder can be used. No profile has a name with a leading dot. */
export function socketsBeside(state: string): string {
  return join(state, ".run");
}

/** The XDG specification: an empty or relative value counts as unset. */
function xdgFolder(value: string | undefined): string | undefined {
  return value !== undefined && isAbsolute(value) ? value : undefined;
}
