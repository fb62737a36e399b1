import type { ByteSource } from "../../gguf/byte-source.ts";
import { GgufError } from "../../gguf/gguf-error.ts";
import { getFromHub, type HttpConnection, type HubAnswer } from "./hub-connection.ts";
import type { HubResponse } from "./http-get.ts";
import { parseByteCount } from "./remote-file.ts";
import { TransientError, withRetries, type RetryRule } from "./retry.ts";

/** What was fetched, failed attempts included. Grows as bytes come. */
export interface NetworkTraffic {
  bytesRead: number;
  requests: number;
}

export interface HttpFile {
  readonly url: string;
  /** For messages. */
  readonly name: string;
  readonly connection: HttpConnection;
  readonly retries: RetryRule;
  readonly traffic: NetworkTraffic;
}

/** The first request tells the file's size and brings as much as the header reader asks for first. */
const firstBytes = 2 ** 17;

/**
 * Opens a file on an HTTP server; only the ranges that are asked for are fetched.
 * @throws GgufError `file-unreadable` when the server does not say how large the file is, LlmctlError as {@link
 *   getFromHub}, TransientError when the last retry failed.
 */
export async function openHttpSource(file: HttpFile): Promise<ByteSource> {
  const first = new Uint8Array(firstBytes);
  const opened = await fetchInto(file, 0, first);
  const head = first.subarray(0, Math.min(firstBytes, opened.sizeBytes));
  return {
    name: file.name,
    sizeBytes: opened.sizeBytes,
    read: async (offset, into) => {
      const known = head.subarray(offset, offset + into.length);
      into.set(known);
      if (known.length === into.length) return;
      const { sizeBytes, etag } = await fetchInto(file, offset + known.length, into.subarray(known.length));
      if (sizeBytes === opened.sizeBytes && etag === opened.etag) return;
      throw unreadable(file, "has changed while it was read", "try again");
    },
  };
}

/** What an answer says of the whole file. */
interface Whole {
  readonly sizeBytes: number;
  /** Undefined where the server gives none; a weak one does not promise equal bytes. */
  readonly etag: string | undefined;
}

function fetchInto(file: HttpFile, offset: number, into: Uint8Array): Promise<Whole> {
  // Content coding would change the bytes that the range is about.
  const headers = { range: `bytes=${offset}-${offset + into.length - 1}`, "accept-encoding": "identity" };
  return withRetries(() => {
    file.traffic.requests += 1;
    return getFromHub(file.url, headers, file.connection, (answer) => readAnswer(file, answer, offset, into));
  }, file.retries);
}

/**
 * A 206 must start where it was asked to; a 200 is the whole file, of which no more is taken than up to the last byte
 * wanted.
 */
async function readAnswer(
  file: HttpFile,
  { response, chunks }: HubAnswer,
  offset: number,
  into: Uint8Array,
): Promise<Whole> {
  const { start, sizeBytes } =
    response.status === 206 ? readRange(response, offset) : { start: 0, sizeBytes: readLength(response) };
  if (sizeBytes === undefined) {
    throw unreadable(
      file,
      "cannot be read in parts: its server does not say how large it is",
      "download it, and name the file",
    );
  }
  const end = Math.min(offset + into.length, sizeBytes);
  let at = start;
  for await (const chunk of chunks) {
    file.traffic.bytesRead += chunk.length;
    const wanted = chunk.subarray(Math.max(0, offset - at), Math.max(0, end - at));
    into.set(wanted, Math.max(0, at - offset));
    at += chunk.length;
    // The last chunk of a range is followed by its end, which leaves the connection fit for the next request.
    if (at > end || (at === end && response.status !== 206)) break;
  }
  if (at < end) throw new TransientError(`the answer ended ${end - at} bytes early`);
  const etag = response.headers.get("etag") ?? undefined;
  return { sizeBytes, etag: etag?.startsWith("W/") === true ? undefined : etag };
}

function readRange(response: HubResponse, offset: number): { start: number; sizeBytes: number | undefined } {
  const range = response.headers.get("content-range") ?? "no content-range";
  const [, start, size] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(range) ?? [];
  if (Number(start) !== offset) throw new TransientError(`the server sent "${range}", which was not asked for`);
  return { start: offset, sizeBytes: parseByteCount(size) };
}

function readLength({ headers }: HubResponse): number | undefined {
  return (headers.get("content-encoding") ?? "identity") === "identity"
    ? parseByteCount(headers.get("content-length"))
    : undefined;
}

function unreadable({ name }: HttpFile, why: string, fix: string): GgufError {
  return new GgufError("file-unreadable", `${name} ${why}`, { exit: "unavailable", fix });
}
