import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExitName } from "../../src/base/exit-codes.ts";
import type { StatusEvent } from "../../src/control/messages.ts";
import type { Launch } from "../../src/supervisor/launch.ts";
import { Supervisor, type SupervisorOptions } from "../../src/supervisor/supervisor.ts";
import { FakeSystem, goodAnswers, scriptedProtocol } from "./fake-system.ts";
import { makeLaunch } from "./make-launch.ts";

/** Longer than anything that a test waits for. */
const longestWaitMs = 200_000;

/** A supervisor of a fake server on a fake machine. */
export class Supervised {
  readonly folder = mkdtempSync(join(tmpdir(), "llmctl-supervised-"));
  readonly answers = goodAnswers();
  /** Everything that is done and told, in order, each with the milliseconds since the start. */
  readonly journal: string[] = [];
  readonly events: StatusEvent[] = [];
  readonly system: FakeSystem;
  readonly supervisor: Supervisor;
  exit: ExitName | undefined;
  readonly #startMs: number;

  constructor(launch: Partial<Launch> = {}, more: Partial<SupervisorOptions> = {}) {
    const tell = (text: string) => this.tell(text);
    this.system = new FakeSystem(tell);
    this.#startMs = this.system.clock.nowMs();
    this.supervisor = new Supervisor({
      launch: makeLaunch({ port: 8001, ...launch }),
      protocol: scriptedProtocol(this.answers, this.system.clock, tell),
      folder: this.folder,
      orphan: undefined,
      lockServer: async () => 7,
      recordServer: ({ identity }) => tell(`record ${identity.pid}`),
      preflight: async () => undefined,
      onEvent: (event) => {
        if (event.isProgress !== true) this.events.push(event);
        tell(event.message);
      },
      system: this.system,
      ...more,
    });
    void this.supervisor.finished.then((exit) => (this.exit = exit));
  }

  tell(text: string): void {
    this.journal.push(`${this.system.clock.nowMs() - this.#startMs} ${text}`);
  }

  /** What was done and told since the last call. */
  since(): string[] {
    return this.journal.splice(0);
  }

  get state(): string {
    return this.supervisor.status().state;
  }

  get logPath(): string {
    return join(this.folder, "server.log");
  }

  get clock(): FakeSystem["clock"] {
    return this.system.clock;
  }

  get processes(): FakeSystem["processes"] {
    return this.system.processes;
  }

  /** Starts the server and waits until it is ready. @returns its pid. */
  async ready(): Promise<number> {
    this.supervisor.up();
    await this.reach("ready");
    return this.pid;
  }

  get pid(): number {
    const { pid } = this.supervisor.status();
    if (pid === null) throw new Error("there is no server");
    return pid;
  }

  /** Lets time pass until this state is entered, or is the present one. */
  async reach(state: string): Promise<void> {
    if (this.state !== state) await this.reachNext(state);
  }

  /** Lets time pass until this state is entered, even if it is the present one. */
  async reachNext(state: string): Promise<void> {
    const { length } = this.events;
    await this.clock.untilTrue(
      () => this.events.slice(length).some(({ status }) => status.state === state),
      longestWaitMs,
    );
  }

  /** Ends everything that still runs, and removes the folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.supervisor.forceDown("the test");
    await this.clock.advance(60_000);
    rmSync(this.folder, { recursive: true });
  }
}
