import { once } from "node:events";
import { connect, type NetConnectOpts, type Socket } from "node:net";

/** Connections that somebody holds. Disposing of it lets go of them. */
export class Crowd implements Disposable {
  readonly sockets: readonly Socket[];

  private constructor(sockets: readonly Socket[]) {
    this.sockets = sockets;
  }

  /**
   * @param words What each of them says, and no more.
   * @returns when each was made, or refused; a queue that is full makes them wait.
   */
  static async gather(to: NetConnectOpts, count: number, words = ""): Promise<Crowd> {
    const sockets: Socket[] = [];
    for (let made = 0; made < count; made += 1) {
      const socket = connect(to);
      sockets.push(socket);
      socket.on("error", () => socket.destroy()); // closed by the other side, as it may
      await Promise.race([once(socket, "connect"), once(socket, "close")]);
      if (words !== "" && !socket.destroyed) socket.write(words);
    }
    return new Crowd(sockets);
  }

  [Symbol.dispose](): void {
    for (const socket of this.sockets) socket.destroy();
  }
}
