import type { StateName, StatusEvent } from "../control/messages.ts";

/** States on the way to ready; a start passes some of them within a millisecond. */
const passing: ReadonlySet<StateName> = new Set(["preflight", "starting", "loading", "proving"]);
/** Longer than the step from one such state to the next, shorter than a person notices. */
const laterMs = 5;

/**
 * Delivers events in order. Events of lasting states are delivered at once, together with all earlier ones. Events of
 * states on the way to ready are delivered a moment later, so that logs, disks and readers do not delay the start.
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

  /** Delivers all waiting events now, such as before a new reader is told the status. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (let event = this.#waiting.shift(); event !== undefined; event = this.#waiting.shift()) this.#tell(event);
  }
}
