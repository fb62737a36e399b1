import type { Launch, ServerProtocol } from "../../supervisor/launch.ts";
import { llamaServerProtocol } from "./server-protocol.ts";
import { workerProtocol } from "./worker-protocol.ts";

/** How to talk to what a launch starts. */
export function protocolOf({ protocol }: Launch): ServerProtocol {
  return protocol === "rpc-worker" ? workerProtocol : llamaServerProtocol;
}
