import { LlmctlError } from "../../base/errors.ts";
import { getFromHub, type HttpConnection, type HubAnswer } from "./hub-connection.ts";

/**
 * The address of one file on the Hub or another server. It may redirect to a signed address, which is valid for a
 * while. All requests share the signed address until it expires, because the Hub limits the rate of requests.
 */
export class FileAddress {
  readonly #url: string;
  /** The signed address, as soon as the request to the Hub has its answer. */
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
      // Without an answer there is no signed address, and the next request asks the Hub.
      learn(undefined);
    }
  }
}

/** The answer to an expired address is a 4xx: usually 403, but 400, 401, 404 and 410 occur too. */
function isRefusal(error: unknown): boolean {
  return error instanceof LlmctlError && ["hub-denied", "hub-not-found", "hub-error"].includes(error.code);
}
