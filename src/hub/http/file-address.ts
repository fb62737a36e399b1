import { LlmctlError } from "../../base/errors.ts";
import { getFromHub, type HttpConnection, type HubAnswer } from "./hub-connection.ts";

/**
 * Where one file is to be had: an address of the Hub or another server, which may redirect to a signed one that holds
 * for a while. The signed one is asked for once, for all requests, until it holds no longer: the Hub limits how often
 * it may be asked.
 */
export class FileAddress {
  readonly #url: string;
  /** Settles to what is known when the request that asks the Hub has its answer. */
  #signed: Promise<string | undefined> | undefined;

  constructor(url: string) {
    this.#url = url;
  }

  /** As {@link getFromHub}. */
  async get<T>(
    headers: Readonly<Record<string, string>>,
    hub: HttpConnection,
    use: (answer: HubAnswer) => Promise<T>,
  ): Promise<T> {
    const known = this.#signed;
    const signed = await known;
    if (signed !== undefined) {
      try {
        return await getFromHub(signed, headers, hub, use);
      } catch (error) {
        if (!isRefusal(error)) throw error;
        if (this.#signed === known) this.#signed = undefined;
        return this.get(headers, hub, use);
      }
    }
    return known === this.#signed ? this.#ask(headers, hub, use) : this.get(headers, hub, use);
  }

  async #ask<T>(
    headers: Readonly<Record<string, string>>,
    hub: HttpConnection,
    use: (answer: HubAnswer) => Promise<T>,
  ): Promise<T> {
    let learn: (signed: string | undefined) => void = () => {};
    const asked = new Promise<string | undefined>((resolve) => (learn = resolve));
    this.#signed = asked;
    try {
      return await getFromHub(this.#url, headers, hub, (answer) => {
        learn(answer.response.url);
        return use(answer);
      });
    } finally {
      // Without an answer nothing was learned, and the next request asks.
      learn(undefined);
    }
  }
}

/** A signed address that has run out is answered with a 4xx: 403 as a rule, but 400, 401, 404 and 410 are seen too. */
function isRefusal(error: unknown): boolean {
  return error instanceof LlmctlError && ["hub-denied", "hub-not-found", "hub-error"].includes(error.code);
}
