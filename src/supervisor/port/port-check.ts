import { createServer } from "node:net";
import getPort from "get-port";
import { systemErrorCode } from "../../base/errors.ts";
import { shortageCodes } from "../file-check.ts";
import type { ExitCause, Launch } from "../launch.ts";
import { findPortOwner, isListenedOn, isListeningKnown } from "./listening-sockets.ts";
import { checkSocket } from "./socket-check.ts";

type Address = Pick<Launch, "host" | "port" | "socketPath">;

/**
 * Whether a server could listen here now. Asked before every start, since builds up to b8390 share a busy port without
 * a word and the newer ones only say so after they were started.
 * @returns why not, or undefined when the address is free. Port 0 always is.
 */
export async function checkPort({ host, port, socketPath }: Address): Promise<ExitCause | undefined> {
  if (socketPath !== undefined) return checkSocket(socketPath);
  if (port === 0) return undefined;
  const error = await tryToListen(host, port);
  if (error === undefined || (systemErrorCode(error) === "EADDRINUSE" && isOnlyLeftOver(host, port))) return undefined;
  return explainRefusal(error, { host, port });
}

/**
 * Whether a server could listen on this address, on any port. Asked where it picks the port itself.
 * @returns why not. Of anything but a missing address the server tells itself.
 */
export async function checkHostAddress(host: string): Promise<ExitCause | undefined> {
  // llama-server takes it for the path of a unix socket
  if (host.includes("/") || host.endsWith(".sock")) return undefined;
  const error = await tryToListen(host, 0);
  const cause = error === undefined ? undefined : await explainRefusal(error, { host, port: 0 });
  return cause?.kind === "host-not-local" ? cause : undefined;
}

async function explainRefusal(error: Error, { host, port }: Pick<Launch, "host" | "port">): Promise<ExitCause> {
  const cause = { permanent: true, exit: "unavailable" } as const;
  const code = systemErrorCode(error);
  // An address with a zone, such as fe80::1%tun0, before its interface is there.
  const isZoneMissing = code === "EINVAL" && host.includes("%");
  switch (isZoneMissing ? "EADDRNOTAVAIL" : code) {
    case "EADDRINUSE":
      return { ...cause, mayCome: true, kind: "port-in-use", message: inUse(host, port), fix: await portAdvice(host) };
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN": // while no resolver can be reached
      return {
        ...cause,
        mayCome: true,
        kind: "host-not-local",
        message: `"${host}" is no address of this machine`,
        fix: 'set server.host to "127.0.0.1", or to "0.0.0.0" for all addresses',
      };
    case "EACCES":
      return {
        ...cause,
        kind: "port-not-permitted",
        message: `no permission to listen on port ${port}`,
        fix: "set server.port to 1024 or higher",
        exit: "permission",
      };
    default:
      return {
        ...cause,
        ...(code !== undefined && shortageCodes.has(code) ? { mayCome: true, permanent: false } : {}),
        kind: "port-unusable",
        message: `cannot listen on ${host}:${port}: ${error.message}`,
      };
  }
}

function tryToListen(host: string, port: number): Promise<Error | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", resolve);
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

/**
 * True when nobody listens, but connections of a server that ended still wait out their last minute: builds up to b8390
 * leave them such that we may not have the port, and the next server may.
 */
function isOnlyLeftOver(host: string, port: number): boolean {
  return isListeningKnown() && !isListenedOn(port, host);
}

function inUse(host: string, port: number): string {
  const owner = findPortOwner(port, host);
  return owner === undefined
    ? `port ${port} is in use`
    : `port ${port} is in use by ${owner.command} (pid ${owner.pid})`;
}

async function portAdvice(host: string): Promise<string> {
  return `stop that process, or set server.port to a free one (${await getPort({ host })} is free now) or to "auto"`;
}
