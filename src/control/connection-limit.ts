import { closeSync, openSync } from "node:fs";
import type { IncomingMessage, Server } from "node:http";
import type { Socket } from "node:net";
import { systemErrorCode } from "../base/errors.ts";
import { readSoftLimit } from "../base/process-limits.ts";

/**
 * What a client may take of an HTTP server of ours. A request is a few hundred bytes and comes within milliseconds;
 * Node looks every `connectionsCheckingInterval` for those that are late, also for connections that have not said a
 * word.
 */
export const httpLimits = {
  maxHeaderSize: 8 << 10,
  headersTimeout: 5000,
  requestTimeout: 5000,
  keepAliveTimeout: 1000,
  connectionsCheckingInterval: 5000,
} as const;

/** For an answer that is ready: a client that does not take it by then gets no more of it. */
export const unreadAnswerMs = 15_000;

/** Every answer closes its connection, so a second request is never answered; a flood of them would only be kept. */
const mostRequestsAtOnce = 8;

const lookEveryMs = 5000;

/** Where the system does not tell: macOS has this many unless it is told otherwise. */
const commonDescriptorLimit = 256;

interface Share {
  readonly most: number;
  /**
   * Of all descriptors that this process may have: what is left is for the server, its log, health checks and files.
   */
  readonly ofDescriptors: number;
}

interface Connection {
  requests: number;
  isHeld: boolean;
}

/**
 * Bounds the connections of one server. A new one over the bound closes the oldest: whoever asks is answered within a
 * millisecond, and need not wait for others who only sit there. Those that have asked for nothing yet are no better to
 * close: whoever has just come is one of them. A connection that is held is never closed for another.
 */
export class ConnectionLimit {
  readonly #share: Share;
  /** The oldest first. */
  readonly #open = new Map<Socket, Connection>();
  #descriptors = commonDescriptorLimit;

  constructor(share: Share) {
    this.#share = share;
  }

  /** How many connections there may be now; a running process can be given fewer descriptors. */
  get most(): number {
    this.#descriptors = readSoftLimit("Max open files") ?? this.#descriptors;
    return Math.max(1, Math.min(this.#share.most, Math.floor(this.#descriptors * this.#share.ofDescriptors)));
  }

  /**
   * For a server that takes connections from now on. Where there is no descriptor for a connection that waits, Node
   * neither takes it nor says so, but looks again at once, without end: the server gets that error by and by, and
   * should listen no more.
   */
  watch(server: Server): void {
    const timer = setInterval(() => {
      if (!server.listening) return clearInterval(timer);
      const error = findShortage();
      if (error !== undefined) server.emit("error", error);
    }, lookEveryMs).unref();
    server.on("connection", (socket) => this.#admit(socket));
    // Node would keep the connection open for another request.
    server.on("checkExpectation", (_, response) => void response.writeHead(417, { connection: "close" }).end());
  }

  /** Notes a request. @returns whether it is the connection's first, which alone is answered. */
  takes({ socket }: IncomingMessage): boolean {
    const connection = this.#open.get(socket);
    if (connection === undefined) return false;
    connection.requests += 1;
    if (connection.requests > mostRequestsAtOnce) socket.destroy();
    return connection.requests === 1;
  }

  /** From now on this connection is closed for no other one. */
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

/** Why no file can be opened now; undefined where one can. */
function findShortage(): unknown {
  try {
    closeSync(openSync("/", "r"));
    return undefined;
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return error;
  }
}
