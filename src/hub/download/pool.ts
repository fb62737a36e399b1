/**
 * A pool of at most `size` resources, each made when first needed. A caller waits for a free one, in the order in which
 * callers came.
 */
export class Pool<T> {
  readonly #make: () => T;
  readonly #free: T[] = [];
  readonly #waiting: ((resource: T) => void)[] = [];
  #unmade: number;

  constructor(size: number, make: () => T) {
    this.#unmade = size;
    this.#make = make;
  }

  /** Lends a resource to the action until it ends. */
  async use<R>(action: (resource: T) => Promise<R>): Promise<R> {
    const resource = await this.#take();
    try {
      return await action(resource);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free.push(resource);
      else next(resource);
    }
  }

  async #take(): Promise<T> {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#unmade === 0) return new Promise<T>((resolve) => this.#waiting.push(resolve));
    this.#unmade -= 1;
    return this.#make();
  }
}
