import { expect, test } from "vitest";
import { withHash } from "../../../../src/llama/plan/launch-hash.ts";
import type { Launch, WantedProof } from "../../../../src/supervisor/launch.ts";

/** With its keys in the planner's order, on which the hash depends. */
function makePlanned(proof: WantedProof): Omit<Launch, "hash"> {
  return {
    version: 2,
    name: "p",
    protocol: "llama-server",
    dependsOn: ["q"],
    cwd: "/profiles",
    host: "127.0.0.1",
    port: 8080,
    metricsPort: 0,
    rpcWorkers: [],
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
    profilePath: "/profiles/p.yaml",
    file: "/bin/llama-server",
    args: ["--port", "8080"],
    env: { HOME: "/root" },
    files: [{ path: "/m.gguf", sizeBytes: 1 }],
    proof,
    build: "b1",
  };
}

test.each<[WantedProof, string]>([
  [{ wanted: true, onFailure: "serve" }, "8589718f3cbf9189"],
  [{ wanted: true, onFailure: "fail" }, "4382edf40755abee"],
  [{ wanted: false, reason: "the profile asks for none" }, "97ecda672feb5f16"],
])("the hash is the one of llmctl with launch version 1: %j", (proof, hash) => {
  expect(withHash("sealed", makePlanned(proof)).hash).toBe(hash);
});

test("a dependency, the environment of the shell and the launch version do not change the hash", () => {
  const launch = makePlanned({ wanted: true, onFailure: "serve" });
  const { hash } = withHash("sealed", { ...launch, version: 9, dependsOn: [], env: {} });
  expect(hash).toBe(withHash("sealed", launch).hash);
  expect(withHash("other", launch).hash).not.toBe(hash);
});
