import { connect } from "node:net";
import type { Endpoint, Health, ServerProtocol } from "../../supervisor/launch.ts";
import { isListenedOn, isListeningKnown } from "../../supervisor/port/listening-sockets.ts";
import { draftProofTexts } from "./draft-proof-texts.ts";
import { explainExit } from "./exit-cause.ts";

/**
 * Everything that the supervisor knows about llama.cpp's RPC server. It serves one client at a time, lets two more
 * wait, and reports nothing about itself. Health checks do not connect to it: a connection could take the place of a
 * server that reconnects.
 */
export const workerProtocol: ServerProtocol = {
  checkHealth: checkWorkerHealth,
  explainExit,
  checkNeeds: async () => undefined,
  parseLoadLine: (line) => (/^Starting RPC server\b/.test(line) ? { says: "loaded" } : undefined),
  parseTraffic: () => undefined,
  judgeRun: () => undefined,
  prove: async () => Promise.reject(new Error("a worker does not draft")),
  proofTexts: draftProofTexts,
  askMainLoop: async () => undefined,
  examine: async () => ({ result: "unknown" }),
  isBusy: async () => false,
  readMetrics: async () => undefined,
};

/** On a system without a list of listening sockets the check connects, and closes the connection at once. */
async function checkWorkerHealth(endpoint: Endpoint, timeoutMs: number, signal: AbortSignal): Promise<Health> {
  const isThere =
    "port" in endpoint && isListeningKnown()
      ? isListenedOn(endpoint.port, endpoint.host)
      : await canConnect(endpoint, timeoutMs, signal);
  return isThere ? "ready" : "unreachable";
}

async function canConnect(endpoint: Endpoint, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({
      ...("socketPath" in endpoint ? { path: endpoint.socketPath } : endpoint),
      signal,
      timeout: timeoutMs,
    });
    const end = (isThere: boolean) => {
      socket.destroy();
      resolve(isThere);
    };
    socket
      .on("connect", () => end(true))
      .on("timeout", () => end(false))
      .on("error", () => end(false));
  });
}
