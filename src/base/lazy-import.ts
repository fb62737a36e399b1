/**
 * Loads a module late, in a process that lives for months: npm may just be replacing its files. Node remembers a module
 * that could not be loaded as broken for ever, under its address; another query is another address.
 * @param load The usual import. @param address The module's address, for every try after one that has failed.
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

  /** @throws what importing throws; the next call tries again. */
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
