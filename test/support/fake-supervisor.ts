import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import { dirname } from "node:path";
import type { Paths } from "../../src/base/files/paths.ts";
import type { Status, StatusEvent } from "../../src/control/messages.ts";
import { controlSocketPaths } from "../../src/control/socket-path.ts";
import { makeStatus } from "./make-status.ts";

/** What the control socket of a running profile says: its status, and its events up to the end of the supervisor. */
export class FakeSupervisor implements AsyncDisposable {
  readonly #server: Server;

  private constructor(status: Status, events: readonly StatusEvent[]) {
    this.#server = createServer((request, response: ServerResponse) => {
      if (request.url?.startsWith("/events") !== true) return void response.end(JSON.stringify(status));
      response.end(events.map((event) => `${JSON.stringify(event)}\n`).join(""));
    });
  }

  static async start(
    paths: Paths,
    status: Partial<Status> = {},
    events: readonly StatusEvent[] = [],
  ): Promise<FakeSupervisor> {
    const whole = makeStatus(status);
    const supervisor = new FakeSupervisor(whole, events);
    const [path = ""] = controlSocketPaths(paths, whole.name);
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    await once(supervisor.#server.listen(path), "listening");
    return supervisor;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await once(this.#server.close(), "close");
  }
}
