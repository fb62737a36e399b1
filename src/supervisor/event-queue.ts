import type { StateName, StatusEvent } from "../control/messages.ts";

/** States that a start passes on its way to ready, some of them within a millisecond. */
const passing: ReadonlySet<StateName> = new Set(["preflight", "starting", "loading", "proving"]);
/** Longer than a step from one of them to the next takes, shorter than anybody notices. */
const laterMs = 5;

/**
 * Tells events, in order. One of a state that lasts is told at once, with all before it. One of a state on the way to
 * ready is told a moment later: a server is not started later, and not asked later, for the sake of logs, disks and
 * readers.
 */
export class EventQueue {
  readonly #tell: (event: StatusEvent) => void;
  readonly #waiting: StatusEvent[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(tell: (event: StatusEvent) => void) {
    this.#tell = tell;
  }

  add(event: StatusEvent): void {
    this.#waiting.push(event);
    if (!passing.has(event.status.state)) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), laterMs);
  }

  /** Tells what waits now, as to who is about to hear how things stand. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (let event = this.#waiting.shift(); event !== undefined; event = this.#waiting.shift()) this.#tell(event);
  }
}
