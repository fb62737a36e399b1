import type { StatusEvent } from "../control/messages.ts";

/** Events kept of one start: its states and a handful of warnings. */
const mostEvents = 20;

/** Events since the present start began, for a reader that connects a moment later. */
export class EventsOfStart {
  #events: StatusEvent[] = [];

  begin(): void {
    this.#events = [];
  }

  add(event: StatusEvent): void {
    if (this.#events.length < mostEvents) this.#events.push(event);
  }

  /** @returns none before the first start. */
  upTo(last: StatusEvent): readonly StatusEvent[] {
    return this.#events.length === 0 || this.#events.includes(last) ? this.#events : [...this.#events, last];
  }
}
