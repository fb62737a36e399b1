import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mkdtemp, rm } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { protocolOf } from "../../../../src/llama/server/protocols.ts";
import { llamaServerProtocol } from "../../../../src/llama/server/server-protocol.ts";
import { workerProtocol } from "../../../../src/llama/server/worker-protocol.ts";
import { makeLaunch } from "../../../support/make-launch.ts";

const never = new AbortController().signal;
const endpoint = { host: "127.0.0.1", port: 1 };

test("each kind of launch has its protocol", () => {
  expect(protocolOf(makeLaunch())).toBe(llamaServerProtocol);
  expect(protocolOf(makeLaunch({ protocol: "rpc-worker" }))).toBe(workerProtocol);
});

describe("a worker", () => {
  test("is ready while it listens, and nobody connects to see it", async () => {
    let connections = 0;
    const server = createServer(() => (connections += 1));
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as AddressInfo;
    expect(await workerProtocol.checkHealth({ host: "127.0.0.1", port }, 1000, never)).toBe("ready");
    // Somebody else's port on another address is no sign of the worker.
    expect(await workerProtocol.checkHealth({ host: "127.0.0.2", port }, 1000, never)).toBe("unreachable");
    await once(server.close(), "close");
    expect(await workerProtocol.checkHealth({ host: "127.0.0.1", port }, 1000, never)).toBe("unreachable");
    expect(connections).toBe(0);
  });

  test("on a unix socket is connected to", async () => {
    const folder = await mkdtemp(join(tmpdir(), "llmctl-worker-"));
    const socketPath = join(folder, "w.sock");
    const server = createServer((socket) => socket.on("error", () => undefined));
    await once(server.listen(socketPath), "listening");
    expect(await workerProtocol.checkHealth({ socketPath }, 1000, never)).toBe("ready");
    expect(await workerProtocol.checkHealth({ socketPath }, 1000, AbortSignal.abort())).toBe("unreachable");
    await once(server.close(), "close");
    expect(await workerProtocol.checkHealth({ socketPath }, 1000, never)).toBe("unreachable");
    await rm(folder, { recursive: true });
  });

  test("is loaded once it says that it starts", () => {
    expect(workerProtocol.parseLoadLine("Starting RPC server v4.0.0")).toEqual({ says: "loaded" });
    for (const line of ["  Starting RPC server", "Starting RPC servers", ": model loaded", ""])
      expect(workerProtocol.parseLoadLine(line)).toBeUndefined();
  });

  test("has no requests, traffic, metrics or draft of its own", async () => {
    const launch = makeLaunch({ apiKeyFile: "/nowhere", rpcWorkers: ["10.0.0.2:1"] });
    expect(await workerProtocol.checkNeeds(launch)).toBeUndefined();
    expect(workerProtocol.parseTraffic("eval time =      52.10 ms /    64 tokens")).toBeUndefined();
    await expect(workerProtocol.prove(launch, endpoint, never)).rejects.toThrow("a worker does not draft");
    expect(await workerProtocol.askMainLoop(launch, endpoint, never)).toBeUndefined();
    expect(await workerProtocol.examine(launch, endpoint, never)).toEqual({ result: "unknown" });
    expect(await workerProtocol.isBusy(launch, endpoint, never)).toBe(false);
    expect(await workerProtocol.readMetrics(launch, endpoint, never)).toBeUndefined();
  });
});
