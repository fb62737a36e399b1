import type { Endpoint, LoadLine, ServerProtocol } from "../../supervisor/launch.ts";
import { checkKeyFile } from "./api-key-checks.ts";
import { judgeDrafting } from "../traffic/draft-guard.ts";
import { draftProofTexts } from "./draft-proof-texts.ts";
import { explainExit } from "./exit-cause.ts";
import { checkWorkers } from "../ask/rpc-workers.ts";
import { askMainLoop, checkHealth, examine, isBusy, prove, readMetrics } from "./server-http.ts";
import { parseTraffic } from "../traffic/traffic-lines.ts";

/** Everything that the supervisor knows about llama-server. */
export const llamaServerProtocol: ServerProtocol = {
  checkNeeds: async (launch) => checkKeyFile(launch) ?? checkWorkers(launch),
  checkHealth,
  prove,
  proofTexts: draftProofTexts,
  parseTraffic,
  judgeRun: judgeDrafting,
  askMainLoop,
  examine,
  isBusy,
  readMetrics,
  explainExit,
  parseLoadLine,
};

/**
 * Parses a log line of a loading server. The texts are the same in all builds. Only some builds log requests, with
 * lines like `srv  log_server_r: request: GET /health 127.0.0.1 503`.
 */
export function parseLoadLine(line: string): LoadLine | undefined {
  const endpoint = parseListening(line);
  if (endpoint !== undefined) return { says: "listening", endpoint };
  if (line.includes("request: GET /health ")) return { says: "asked" };
  return line.endsWith(": model loaded") ? { says: "loaded" } : undefined;
}

/**
 * Parses `… listening on http://127.0.0.1:8080` or `unix:///run/coder.sock`; some builds add ` - starting the main
 * loop`, and b7698 writes an IPv6 address without brackets.
 */
export function parseListening(line: string): Endpoint | undefined {
  const socketPath = /listening on unix:\/\/(.+?\.sock)(?: - starting the main loop)?$/.exec(line)?.[1];
  if (socketPath !== undefined) return { socketPath };
  const match = /listening on https?:\/\/(?:\[([^\]]+)\]|(\S+?)):(\d{1,5})(?:\s|$)/.exec(line);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  // With an impossible port this is not llama-server's own line; perhaps it is a logged prompt.
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port };
}
