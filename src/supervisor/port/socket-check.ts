import { constants, type Stats } from "node:fs";
import { access, lstat, rm } from "node:fs/promises";
import { connect } from "node:net";
import { dirname } from "node:path";
import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { expectSafeForRoot } from "../../base/files/trusted-path.ts";
import { mayComeCodes } from "../file-check.ts";
import type { ExitCause } from "../launch.ts";
import { findSocketOwner } from "./listening-sockets.ts";

/** The kernel answers a connection to a unix socket at once, also when its queue is full. */
const answerTimeoutMs = 2000;

/** What is at the path of a socket. `stale`: a socket without a listener, as llama-server leaves it behind. */
type Found =
  | { readonly kind: "nothing" | "in-use" | "no-socket" }
  | { readonly kind: "stale"; readonly stats: Stats }
  | { readonly kind: "hidden"; readonly error: unknown };

/**
 * Checks whether a server could listen on this unix socket now. Changes nothing: a stale socket of ours counts as free,
 * since {@link removeStaleSocket} removes it before the start.
 * @returns the cause if not.
 */
export async function checkSocket(path: string): Promise<ExitCause | undefined> {
  const found = await look(path);
  const cause = { permanent: true, exit: "unavailable" } as const;
  switch (found.kind) {
    case "nothing":
      return checkFolder(path);
    case "stale":
      return isOurs(found.stats)
        ? (findForeignWay(path) ?? checkFolder(path))
        : {
            ...cause,
            kind: "socket-of-another",
            message: `the socket "${path}" belongs to another user (uid ${found.stats.uid})`,
            fix: "remove it, or set server.host to another path",
            exit: "permission",
          };
    case "in-use": {
      const owner = findSocketOwner(path);
      const by = owner === undefined ? "" : ` by ${owner.command} (pid ${owner.pid})`;
      return {
        ...cause,
        mayCome: true,
        kind: "port-in-use",
        message: `the socket "${path}" is in use${by}`,
        fix: "stop that process, or set server.host to another path",
      };
    }
    case "no-socket":
      return {
        ...cause,
        kind: "not-a-socket",
        message: `"${path}" exists and is not a socket`,
        fix: "move it away, or set server.host to another path",
        exit: "config",
      };
    case "hidden":
      return unusable(path, found.error);
  }
}

/**
 * Removes a stale socket of ours. Only the holder of the profile's lock may call it.
 * @throws the system's error.
 */
export async function removeStaleSocket(path: string): Promise<void> {
  const found = await look(path);
  if (found.kind !== "stale" || !isOurs(found.stats)) return;
  expectSafeForRoot(dirname(path));
  const now = await lstat(path);
  // Another server may have created its own socket since.
  if (now.ino === found.stats.ino && now.ctimeMs === found.stats.ctimeMs) await rm(path, { force: true });
}

async function look(path: string): Promise<Found> {
  try {
    const stats = await lstat(path);
    if (!stats.isSocket()) return { kind: "no-socket" };
    const error = await tryToConnect(path);
    if (error === undefined) return { kind: "in-use" };
    switch (systemErrorCode(error)) {
      case "ENOENT":
        return { kind: "nothing" };
      case "ECONNREFUSED":
        return { kind: "stale", stats };
      default:
        // No permission, a full queue, another socket type: somebody uses it.
        return { kind: "in-use" };
    }
  } catch (error) {
    return systemErrorCode(error) === "ENOENT" ? { kind: "nothing" } : { kind: "hidden", error };
  }
}

function tryToConnect(path: string): Promise<Error | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ path, timeout: answerTimeoutMs });
    const end = (error: Error | undefined) => {
      socket.destroy();
      resolve(error);
    };
    socket
      .on("connect", () => end(undefined))
      .on("timeout", () => end(undefined))
      .on("error", end);
  });
}

function isOurs({ uid }: Stats): boolean {
  return uid === process.geteuid?.();
}

/** Whether root must not remove a socket by this path, because another user could redirect the path meanwhile. */
function findForeignWay(path: string): ExitCause | undefined {
  try {
    expectSafeForRoot(dirname(path));
    return undefined;
  } catch (error) {
    if (!(error instanceof LlmctlError)) throw error;
    const { code: kind, message, exit, fix } = error;
    return { kind, message, permanent: true, exit, ...(fix === undefined ? {} : { fix }) };
  }
}

/** Checks whether a socket can be created there. */
async function checkFolder(path: string): Promise<ExitCause | undefined> {
  try {
    await access(dirname(path), constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return unusable(path, error);
  }
}

function unusable(path: string, error: unknown): ExitCause {
  const folder = dirname(path);
  const code = systemErrorCode(error);
  const cause = { kind: "socket-unusable", permanent: true } as const;
  if (code === "ENOENT" || code === "ENOTDIR") {
    return {
      ...cause,
      mayCome: true,
      message: `the folder "${folder}" for the server's socket does not exist`,
      fix: `create it: mkdir -p ${folder}`,
      exit: "missingFile",
    };
  }
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
    const message = `no permission to create a socket in "${folder}"`;
    return { ...cause, message, fix: "set server.host to a path in a folder that you own", exit: "permission" };
  }
  return {
    ...cause,
    ...(code !== undefined && mayComeCodes.has(code) ? { mayCome: true } : {}),
    message: `cannot use the socket "${path}": ${error instanceof Error ? error.message : String(error)}`,
    exit: "unavailable",
  };
}
