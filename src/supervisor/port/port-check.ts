import { createServer } from "node:net";
import getPort from "get-port";
import { systemErrorCode } from "../../base/errors.ts";
import { shortageCodes } from "../file-check.ts";
import type { ExitCause, Launch } from "../launch.ts";
import { findPortOwner, isListenedOn, isListeningKnown } from "./listening-sockets.ts";
import { checkSocket } from "./socket-check.ts";

type Address = Pick<Launch, "host" | "port" | "socketPath">;

/**
 * Checks whether a server could listen on this address now. Done before every start: builds up to b8390 silently share
 * a busy port, and newer ones fail only after they were started.
 * @returns the cause if not; undefined when the address is free, as it always is for port 0.
 */
export async function checkPort({ host, port, socketPath }: Address): Promise<ExitCause | undefined> {
  if (socketPath !== undefined) return checkSocket(socketPath);
  if (port === 0) return undefined;
  const error = await tryToListen(host, port);
  if (error === undefined || (systemErrorCode(error) === "EADDRINUSE" && isOnlyLeftOver(host, port))) return undefined;
  return explainRefusal(error, { host, port });
}

/**
 * Checks whether a server that picks its own port could listen on this host.
 * @returns the cause if the machine does not have this address; the server itself reports anything else.
 */
export async function checkHostAddress(host: string): Promise<ExitCause | undefined> {
  // llama-server treats such a host as the path of a unix socket.
  if (host.includes("/") || host.endsWith(".sock")) return undefined;
  const error = await tryToListen(host, 0);
  const cause = error === undefined ? undefined : await explainRefusal(error, { host, port: 0 });
  return cause?.kind === "host-not-local" ? cause : undefined;
}

async function explainRefusal(error: Error, { host, port }: Pick<Launch, "host" | "port">): Promise<ExitCause> {
  const cause = { permanent: true, exit: "unavailable" } as const;
  const code = systemErrorCode(error);
  // An address with a zone, such as fe80::1%tun0, before its interface exists.
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
        message: `"${host}" is not an address of this machine`,
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
 * Whether nobody listens on a port that is still in use: closed connections of an ended server are in TIME_WAIT. Builds
 * up to b8390 leave them so that we cannot bind the port, but the next server can.
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
