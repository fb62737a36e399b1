import { type ExitCause, type Launch, launchVersion } from "../../src/supervisor/launch.ts";

/** A launch with round numbers; none of its files exist. */
export function makeLaunch(more: Partial<Launch> = {}): Launch {
  return {
    version: launchVersion,
    name: "p",
    protocol: "llama-server",
    dependsOn: [],
    file: "/bin/server",
    args: [],
    env: {},
    cwd: "/",
    host: "127.0.0.1",
    port: 0,
    metricsPort: 0,
    files: [],
    rpcWorkers: [],
    proof: { wanted: true, onFailure: "serve" },
    watchTraffic: true,
    health: {
      intervalMs: 5000,
      timeoutMs: 3000,
      failures: 3,
      stallTimeoutMs: 60_000,
      hangTimeoutMs: 60_000,
      proofTimeoutMs: 60_000,
    },
    restart: { policy: "on-failure", maxFailures: 5, windowMs: 600_000, backoffMs: 1000, backoffMaxMs: 60_000 },
    stopTimeoutMs: 7000,
    orphan: "kill",
    log: { maxBytes: 1000, keep: 2 },
    build: "b1",
    profilePath: "/p.yaml",
    hash: "0",
    ...more,
  };
}

/** A cause that may pass. */
export const crashed: ExitCause = { kind: "crashed", message: "it crashed", permanent: false, exit: "diedBeforeReady" };
/** A permanent cause. */
export const badFlag: ExitCause = { kind: "bad-flag", message: "a bad flag", permanent: true, exit: "config" };
/** A permanent cause that may end when something outside becomes available. */
export const notThere: ExitCause = {
  kind: "model-missing",
  message: "no model",
  permanent: true,
  mayCome: true,
  exit: "missingFile",
};
