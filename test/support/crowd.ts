import { once } from "node:events";
import { connect, type NetConnectOpts, type Socket } from "node:net";

/** Open connections. Disposing of the crowd closes them. */
export class Crowd implements Disposable {
  readonly sockets: readonly Socket[];

  private constructor(sockets: readonly Socket[]) {
    this.sockets = sockets;
  }

  /**
   * @param words The only text that each connection sends.
   * @returns when each connection was made or refused; a full queue makes them wait.
   */
  static async gather(to: NetConnectOpts, count: number, words = ""): Promise<Crowd> {
    const sockets: Socket[] = [];
    for (let made = 0; made < count; made += 1) {
      const socket = connect(to);
      sockets.push(socket);
      socket.on("error", () => socket.destroy()); // the other side may close it
      await Promise.race([once(socket, "connect"), once(socket, "close")]);
      if (words !== "" && !socket.destroyed) socket.write(words);
    }
    return new Crowd(sockets);
  }

  [Symbol.dispose](): void {
    for (const socket of this.sockets) socket.destroy();
  }
}
