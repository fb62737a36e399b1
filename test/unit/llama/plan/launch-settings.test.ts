import { describe, expect, test } from "vitest";
import { launchSettings } from "../../../../src/llama/plan/launch-settings.ts";
import { launchVersion } from "../../../../src/supervisor/launch.ts";
import { makeProfile } from "../../../support/llama-help.ts";

/** What the defaults of a profile become. */
const standard = {
  version: launchVersion,
  name: "p",
  protocol: "llama-server",
  dependsOn: [],
  cwd: "/profiles",
  host: "127.0.0.1",
  port: 0,
  metricsPort: 0,
  rpcWorkers: [],
  watchTraffic: true,
  health: {
    intervalMs: 5000,
    timeoutMs: 3000,
    failures: 3,
    stallTimeoutMs: 900_000,
    hangTimeoutMs: 900_000,
    proofTimeoutMs: 300_000,
  },
  restart: { policy: "on-failure", maxFailures: 5, windowMs: 600_000, backoffMs: 1000, backoffMaxMs: 60_000 },
  stopTimeoutMs: 60_000,
  orphan: "kill",
  log: { maxBytes: 67_108_864, keep: 3 },
  profilePath: "/profiles/p.yaml",
};

describe("the part of a launch that comes from the profile", () => {
  test("has every default in milliseconds and bytes", () => {
    expect(launchSettings(makeProfile({}))).toStrictEqual(standard);
  });

  test("has every value of the profile at its place", () => {
    const profile = makeProfile({
      depends_on: ["q"],
      server: { host: "::", port: 1, metrics_port: 2, api_key_file: "/keys" },
      rpc: { workers: ["10.0.0.2:50052"] },
      health: {
        interval: "11s",
        timeout: "12s",
        failures: 13,
        stall_timeout: "14s",
        hang_timeout: "15s",
        proof_timeout: "16s",
        watch_traffic: false,
      },
      restart: { policy: "never", max_failures: 17, window: "18s", backoff: "19s", backoff_max: "20s" },
      stop: { timeout: "21s" },
      orphan: "keep",
      log: { max_size: "22MB", keep: 23 },
    });
    expect(launchSettings(profile)).toStrictEqual({
      ...standard,
      dependsOn: ["q"],
      host: "::",
      port: 1,
      metricsPort: 2,
      apiKeyFile: "/keys",
      rpcWorkers: ["10.0.0.2:50052"],
      watchTraffic: false,
      health: {
        intervalMs: 11_000,
        timeoutMs: 12_000,
        failures: 13,
        stallTimeoutMs: 14_000,
        hangTimeoutMs: 15_000,
        proofTimeoutMs: 16_000,
      },
      restart: { policy: "never", maxFailures: 17, windowMs: 18_000, backoffMs: 19_000, backoffMaxMs: 20_000 },
      stopTimeoutMs: 21_000,
      orphan: "keep",
      log: { maxBytes: 22_000_000, keep: 23 },
    });
  });

  test("a server on a unix socket has its metrics on the loopback address", () => {
    expect(launchSettings(makeProfile({ server: { host: "/run/p.sock" } }))).toStrictEqual({
      ...standard,
      host: "127.0.0.1",
      socketPath: "/run/p.sock",
    });
  });

  test("a worker speaks its own protocol, and its log has no traffic", () => {
    const worker = makeProfile({ kind: "rpc-worker", model: undefined, server: { port: 50_052 } });
    expect(launchSettings(worker)).toStrictEqual({
      ...standard,
      protocol: "rpc-worker",
      port: 50_052,
      watchTraffic: false,
    });
  });

  // A running server is found to be the planned one by a hash of these keys in this order.
  test("has its keys in the order on which the hash depends", () => {
    const profile = makeProfile({ server: { host: "/run/p.sock", api_key_file: "/keys" } });
    expect(Object.keys(launchSettings(profile)).join(" ")).toBe(
      "version name protocol dependsOn cwd host socketPath port metricsPort apiKeyFile rpcWorkers watchTraffic " +
        "health restart stopTimeoutMs orphan log profilePath",
    );
  });
});
