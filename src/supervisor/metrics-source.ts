import { MetricsBook } from "../control/metrics-book.ts";
import type { MetricsText } from "../control/metrics-server.ts";
import type { StatusEvent } from "../control/messages.ts";
import type { Supervisor } from "./supervisor.ts";

/** A rendering is reused for this long unless an event has happened since. */
const freshMs = 1000;

interface Rendered {
  readonly own: string;
  readonly atMs: number;
  readonly event: StatusEvent;
}

/**
 * What a supervisor and its server tell Prometheus. What renders it is loaded with the supervisor, because an upgrade
 * may replace the package while it runs; the metrics themselves are made when first asked.
 */
export class MetricsSource {
  readonly #supervisor: Supervisor;
  #book: MetricsBook | undefined;
  #rendered: Rendered | undefined;

  constructor(supervisor: Supervisor) {
    this.#supervisor = supervisor;
  }

  async read(): Promise<MetricsText> {
    const book = (this.#book ??= new MetricsBook(this.#supervisor.status().name));
    const [own, server] = await Promise.all([this.#renderOwn(book), this.#supervisor.readServerMetrics()]);
    return { contentType: book.contentType, text: server === undefined ? own : `${own}\n${server}` };
  }

  async #renderOwn(book: MetricsBook): Promise<string> {
    const event = this.#supervisor.lastEvent;
    const atMs = performance.now();
    const last = this.#rendered;
    if (last?.event === event && atMs - last.atMs < freshMs) return last.own;
    const own = await book.render(this.#supervisor.status(), Date.now());
    this.#rendered = { own, atMs, event };
    return own;
  }
}
