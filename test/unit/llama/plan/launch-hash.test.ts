import { describe, expect, test } from "vitest";
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

type Changes = { readonly [Key in keyof Required<Omit<Launch, "hash">>]: readonly Partial<Launch>[] };

const { health, restart, log } = makePlanned({ wanted: true, onFailure: "serve" });

/** For each key another value, or one for each key in it. The server would run on with the old one. */
const needsRestart: Omit<Changes, keyof typeof needsNone> = {
  name: [{ name: "q" }],
  file: [{ file: "/bin/other" }],
  args: [{ args: ["--port", "8081"] }, { args: ["--port"] }, { args: ["8080", "--port"] }],
  cwd: [{ cwd: "/" }],
  host: [{ host: "::1" }],
  port: [{ port: 8081 }],
  socketPath: [{ socketPath: "/run/p.sock" }],
  metricsPort: [{ metricsPort: 9090 }],
  apiKeyFile: [{ apiKeyFile: "/keys" }],
  proof: [{ proof: { wanted: true, onFailure: "fail" } }, { proof: { wanted: false, reason: "it does not fit" } }],
  fallback: [{ fallback: { args: ["--port", "8080"], files: [] } }],
  watchTraffic: [{ watchTraffic: false }],
  health: Object.keys(health).map((key) => ({ health: { ...health, [key]: 7 } })),
  restart: [
    { restart: { ...restart, policy: "never" } },
    ...(["maxFailures", "windowMs", "backoffMs", "backoffMaxMs"] as const).map((key) => ({
      restart: { ...restart, [key]: 7 },
    })),
  ],
  stopTimeoutMs: [{ stopTimeoutMs: 7001 }],
  orphan: [{ orphan: "keep" }],
  log: [{ log: { ...log, maxBytes: 7 } }, { log: { ...log, keep: 7 } }],
  build: [{ build: "b2" }],
  profilePath: [{ profilePath: "/profiles/other/p.yaml" }],
};

/** Another value is no reason to load a model anew, or another key says the same. */
const needsNone = {
  version: [{ version: 9 }],
  protocol: [{ protocol: "rpc-worker" }],
  dependsOn: [{ dependsOn: [] }, { dependsOn: ["q", "r"] }],
  env: [{ env: {} }, { env: { HOME: "/root", PATH: "/bin" } }],
  files: [{ files: [] }, { files: [{ path: "/m.gguf", sizeBytes: 2 }] }],
  costs: [{ costs: { stepMs: [{ contextTokens: 9, ms: 1 }], targetMs: null, draftMs: null, reevaluates: true } }],
  rpcWorkers: [{ rpcWorkers: ["10.0.0.2:50052"] }],
} as const satisfies Partial<Changes>;

describe("the hash of a launch", () => {
  const launch = makePlanned({ wanted: true, onFailure: "serve" });
  const { hash } = withHash("sealed", launch);

  test.each(Object.values(needsRestart).flat())("changes, so that a restart takes it up: %j", (change) => {
    expect(withHash("sealed", { ...launch, ...change }).hash).not.toBe(hash);
  });

  test.each(Object.values(needsNone).flat())("does not change, so that a running server is kept: %j", (change) => {
    expect(withHash("sealed", { ...launch, ...change }).hash).toBe(hash);
  });

  test("of a fallback counts what is run, not the sizes of its files", () => {
    const fallBack = (args: string[], sizeBytes: number) => {
      const fallback = { args, files: [{ path: "/m.gguf", sizeBytes }] };
      return withHash("sealed", { ...launch, fallback }).hash;
    };
    expect(fallBack(["-m"], 1)).toBe(fallBack(["-m"], 2));
    expect(fallBack(["-m"], 1)).not.toBe(fallBack(["-x"], 1));
  });

  test("changes with the variables of the profile", () => {
    expect(withHash("other", launch).hash).not.toBe(hash);
  });

  test("is added to the launch, which is otherwise unchanged", () => {
    expect(withHash("sealed", launch)).toEqual({ ...launch, hash: "8589718f3cbf9189" });
  });
});
