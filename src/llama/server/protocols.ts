import type { Launch, ServerProtocol } from "../../supervisor/launch.ts";
import { llamaServerProtocol } from "./server-protocol.ts";
import { workerProtocol } from "./worker-protocol.ts";

/** The protocol of the program that a launch starts. */
export function protocolOf({ protocol }: Launch): ServerProtocol {
  return protocol === "rpc-worker" ? workerProtocol : llamaServerProtocol;
}
