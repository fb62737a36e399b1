import { LazyImport } from "../base/lazy-import.ts";
import type { MetricsBook } from "../control/metrics-book.ts";
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
 * Prometheus text of a supervisor and its server. The renderer is loaded at the first scrape: most supervisors are
 * never scraped.
 */
export class MetricsSource {
  readonly #supervisor: Supervisor;
  readonly #module = new LazyImport(
    () => import("../control/metrics-book.ts"),
    // The ending of this file: .ts when run from source, .js when built.
    () => new URL(`../control/metrics-book${import.meta.url.slice(-3)}`, import.meta.url).href,
  );
  #book: MetricsBook | undefined;
  #rendered: Rendered | undefined;

  constructor(supervisor: Supervisor) {
    this.#supervisor = supervisor;
  }

  async read(): Promise<MetricsText> {
    const book = await this.prepare();
    const [own, server] = await Promise.all([this.#renderOwn(book), this.#supervisor.readServerMetrics()]);
    return { contentType: book.contentType, text: server === undefined ? own : `${own}\n${server}` };
  }

  /**
   * Loads the renderer before the first scrape.
   * @throws as the import; the next call tries again.
   */
  async prepare(): Promise<MetricsBook> {
    const { MetricsBook } = await this.#module.get();
    this.#book ??= new MetricsBook(this.#supervisor.status().name);
    return this.#book;
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
