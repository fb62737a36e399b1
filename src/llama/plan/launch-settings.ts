import { dirname } from "node:path";
import { parseDuration, parseSize } from "../../base/text/units.ts";
import { isSocketHost } from "../../profiles/rules/host-kinds.ts";
import type { Profile, ProfileValues } from "../../profiles/schema/schema.ts";
import { type Launch, launchVersion } from "../../supervisor/launch.ts";

/**
 * The part of a launch that comes from the profile alone, whatever the build and the models: how to watch, restart,
 * stop and log the server.
 */
export function launchSettings({
  name,
  path,
  values,
}: Profile): Omit<Launch, "file" | "args" | "env" | "files" | "proof" | "build" | "hash"> {
  const { server, health, restart, stop, log } = values;
  return {
    version: launchVersion,
    name,
    protocol: values.kind === "rpc-worker" ? "rpc-worker" : "llama-server",
    dependsOn: values.depends_on,
    cwd: dirname(path),
    ...(isSocketHost(server.host) ? { host: "127.0.0.1", socketPath: server.host } : { host: server.host }),
    port: server.port === "auto" ? 0 : server.port,
    metricsPort: server.metrics_port ?? 0,
    ...(server.api_key_file === undefined ? {} : { apiKeyFile: server.api_key_file }),
    rpcWorkers: values.rpc.workers ?? [],
    watchTraffic: health.watch_traffic && values.kind !== "rpc-worker",
    health: {
      intervalMs: readDuration(health.interval),
      timeoutMs: readDuration(health.timeout),
      failures: health.failures,
      stallTimeoutMs: readDuration(health.stall_timeout),
      hangTimeoutMs: readDuration(health.hang_timeout),
      proofTimeoutMs: readDuration(health.proof_timeout),
    },
    restart: {
      policy: restart.policy,
      maxFailures: restart.max_failures,
      windowMs: readDuration(restart.window),
      backoffMs: readDuration(restart.backoff),
      backoffMaxMs: readDuration(restart.backoff_max),
    },
    stopTimeoutMs: readDuration(stop.timeout),
    orphan: values.orphan,
    log: { maxBytes: readSize(log.max_size), keep: log.keep },
    profilePath: path,
  };
}

function readDuration(text: ProfileValues["stop"]["timeout"]): number {
  return readChecked(parseDuration(text), text);
}

function readSize(text: ProfileValues["log"]["max_size"]): number {
  return readChecked(parseSize(text), text);
}

function readChecked(value: number | undefined, text: string): number {
  if (value === undefined) throw new Error(`"${text}" has passed the schema but cannot be read`);
  return value;
}
