import type { ByteSource } from "../../gguf/byte-source.ts";
import { GgufError } from "../../gguf/gguf-error.ts";
import { getFromHub, type HttpConnection, type HubAnswer } from "./hub-connection.ts";
import type { HubResponse } from "./http-get.ts";
import { parseByteCount } from "./remote-file.ts";
import { TransientError, withRetries, type RetryRule } from "./retry.ts";

/** Traffic so far, failed attempts included. */
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

/** The first request also gets the file's size. The header reader starts with as many bytes. */
const firstBytes = 2 ** 17;

/**
 * Opens a file on an HTTP server. Only the ranges that are read are fetched.
 * @throws GgufError `file-unreadable` when the server does not tell the size, LlmctlError as {@link
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
      throw unreadable(file, "changed while it was read", "try again");
    },
  };
}

/** What an answer tells about the whole file. */
interface Whole {
  readonly sizeBytes: number;
  /** Undefined when there is none. A weak one counts as none: it does not promise equal bytes. */
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

/** A 206 must start at the requested byte. A 200 is the whole file, which is read up to the last wanted byte. */
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
      "cannot be read in parts: its server does not tell its size",
      "download it, and name the file on disk",
    );
  }
  const end = Math.min(offset + into.length, sizeBytes);
  let at = start;
  for await (const chunk of chunks) {
    file.traffic.bytesRead += chunk.length;
    const wanted = chunk.subarray(Math.max(0, offset - at), Math.max(0, end - at));
    into.set(wanted, Math.max(0, at - offset));
    at += chunk.length;
    // After the last chunk of a range comes the end of the answer, and the connection can carry the next request.
    if (at > end || (at === end && response.status !== 206)) break;
  }
  if (at < end) throw new TransientError(`the answer ended ${end - at} bytes early`);
  const etag = response.headers.get("etag") ?? undefined;
  return { sizeBytes, etag: etag?.startsWith("W/") === true ? undefined : etag };
}

function readRange(response: HubResponse, offset: number): { start: number; sizeBytes: number | undefined } {
  const range = response.headers.get("content-range") ?? "no content-range";
  const [, start, size] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(range) ?? [];
  if (Number(start) !== offset)
    throw new TransientError(`the server sent "${range}", which is not the requested range`);
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
