/**
 * Imports a module when it is first used, in a process that runs for months. The import can fail while npm replaces the
 * package. Node caches that failure under the module's URL for ever, so a retry adds a query to the URL.
 * @param load The normal import.
 * @param address URL of the module, for retries.
 */
export class LazyImport<T> {
  readonly #load: () => Promise<T>;
  readonly #address: () => string;
  #module: Promise<T> | undefined;
  #failures = 0;

  constructor(load: () => Promise<T>, address: () => string) {
    this.#load = load;
    this.#address = address;
  }

  /** @throws the error of the import; the next call tries again. */
  async get(): Promise<T> {
    this.#module ??=
      this.#failures === 0 ? this.#load() : (import(`${this.#address()}?try=${this.#failures}`) as Promise<T>);
    try {
      return await this.#module;
    } catch (error) {
      this.#module = undefined;
      this.#failures += 1;
      throw error;
    }
  }
}
