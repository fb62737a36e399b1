import { closeSync, openSync } from "node:fs";
import type { IncomingMessage, Server } from "node:http";
import type { Socket } from "node:net";
import { systemErrorCode } from "../base/errors.ts";
import { readSoftLimit } from "../base/process-limits.ts";

/**
 * Limits for clients of our HTTP servers. A request has a few hundred bytes and arrives within milliseconds. Every
 * `connectionsCheckingInterval` Node closes late ones, and connections that have sent nothing.
 */
export const httpLimits = {
  maxHeaderSize: 8 << 10,
  headersTimeout: 5000,
  requestTimeout: 5000,
  keepAliveTimeout: 1000,
  connectionsCheckingInterval: 5000,
} as const;

/** A client that does not read a ready answer for this long is disconnected. */
export const unreadAnswerMs = 15_000;

/** Every answer closes its connection, so later requests are never answered; a flood of them is cut off. */
const mostRequestsAtOnce = 8;

const lookEveryMs = 5000;

/** Assumed when the system does not tell: the default of macOS. */
const commonDescriptorLimit = 256;

interface Share {
  readonly most: number;
  /** Share of this process's descriptors; the rest is for the server, its log, health checks and files. */
  readonly ofDescriptors: number;
}

interface Connection {
  requests: number;
  isHeld: boolean;
}

/**
 * Limits the connections of one server. A new connection over the limit closes the oldest one: an answer takes a
 * millisecond, so old connections are idle. Connections without a request are not closed first, since the newest is one
 * of them. A held connection is never closed for another.
 */
export class ConnectionLimit {
  readonly #share: Share;
  /** The oldest first. */
  readonly #open = new Map<Socket, Connection>();
  #descriptors = commonDescriptorLimit;

  constructor(share: Share) {
    this.#share = share;
  }

  /** The limit now; the descriptor limit of a running process can be changed. */
  get most(): number {
    this.#descriptors = readSoftLimit("Max open files") ?? this.#descriptors;
    return Math.max(1, Math.min(this.#share.most, Math.floor(this.#descriptors * this.#share.ofDescriptors)));
  }

  /**
   * Limits the connections of a server from now on. Without a free descriptor for a waiting connection Node retries in
   * a busy loop and reports nothing. So a timer checks for a free descriptor and emits the error on the server, which
   * should then stop listening.
   */
  watch(server: Server): void {
    const timer = setInterval(() => {
      if (!server.listening) return clearInterval(timer);
      const error = findShortage();
      if (error !== undefined) server.emit("error", error);
    }, lookEveryMs).unref();
    server.on("connection", (socket) => this.#admit(socket));
    // By default Node keeps the connection open for another request.
    server.on("checkExpectation", (_, response) => void response.writeHead(417, { connection: "close" }).end());
  }

  /** Counts a request. @returns whether it is the connection's first, the only one that is answered. */
  takes({ socket }: IncomingMessage): boolean {
    const connection = this.#open.get(socket);
    if (connection === undefined) return false;
    connection.requests += 1;
    if (connection.requests > mostRequestsAtOnce) socket.destroy();
    return connection.requests === 1;
  }

  /** Protects this connection from being closed for another. */
  hold({ socket }: IncomingMessage): void {
    const connection = this.#open.get(socket);
    if (connection !== undefined) connection.isHeld = true;
  }

  #admit(socket: Socket): void {
    this.#open.set(socket, { requests: 0, isHeld: false });
    socket.once("close", () => this.#open.delete(socket));
    while (this.#open.size > this.most) {
      const [surplus] = [...this.#open].find(([one, { isHeld }]) => one !== socket && !isHeld) ?? [socket];
      this.#open.delete(surplus);
      surplus.destroy();
    }
  }
}

/** The error of opening a file now; undefined when it succeeds. */
function findShortage(): unknown {
  try {
    closeSync(openSync("/", "r"));
    return undefined;
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return error;
  }
}
