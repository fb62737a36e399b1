import type { HubFetch, HubResponse } from "../../src/hub/http/http-get.ts";

/** A request for content. */
interface Asked {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** The bytes that a server without faults sends; the byte at `end` is not part of them. */
  readonly start: number;
  readonly end: number;
  /** Whether that answer is a 206. */
  readonly isRange: boolean;
}

type Body = Uint8Array | AsyncIterable<Uint8Array>;
type Answer = (asked: Asked) => HubResponse | Promise<HubResponse>;

/** A server of one file, inside this process: each request takes the next of `answers`, else it gets a correct one. */
export class FakeOrigin {
  content: Buffer;
  /** `null` for a server that sends none. */
  etag: string | null;
  answers: Answer[] = [];
  readonly requests: Asked[] = [];

  constructor(content: Buffer, etag: string | null = '"one"') {
    this.content = content;
    this.etag = etag;
  }

  readonly fetch: HubFetch = async (url, { headers, signal }) => {
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers["range"] ?? "") ?? [];
    const isRange = first !== undefined && [undefined, this.etag].includes(headers["if-range"]);
    const [start, end] = isRange ? [Number(first), Number(last) + 1] : [0, this.content.length];
    const asked = { url, headers, signal, start, end, isRange };
    this.requests.push(asked);
    return (this.answers.shift() ?? this.answerRightly)(asked);
  };

  readonly answerRightly: Answer = (asked) => this.answer(asked);

  /** A correct answer, but for what is given. A header of `null` is left out. */
  answer(
    { url, start, end, isRange }: Asked,
    changed: { status?: number; headers?: Readonly<Record<string, string | null>>; body?: Body } = {},
  ): HubResponse {
    const { status = isRange ? 206 : 200, headers = {}, body = this.content.subarray(start, end) } = changed;
    const range = isRange ? { "content-range": `bytes ${start}-${end - 1}/${this.content.length}` } : {};
    const sent = Object.entries({ etag: this.etag, ...range, ...headers });
    return {
      url,
      status,
      ok: status >= 200 && status < 300,
      headers: new Headers(sent.flatMap(([name, value]) => (value === null ? [] : [[name, value]]))),
      body: body instanceof Uint8Array ? inPieces(body) : body,
    };
  }

  /** The requested ranges so far, such as `0-7` or `whole`. */
  get ranges(): string[] {
    return this.requests.map(({ headers }) => headers["range"]?.replace("bytes=", "") ?? "whole");
  }
}

/** Pieces of three bytes: they fit no range and no step. */
export async function* inPieces(bytes: Uint8Array, error?: Error): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 3) yield bytes.subarray(at, at + 3);
  if (error !== undefined) throw error;
}

export function connectionReset(): Error {
  return Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" });
}
