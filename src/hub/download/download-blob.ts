import { LlmctlError } from "../../base/errors.ts";
import type { Fix } from "../../base/fix.ts";
import { cutRanges, type ByteRange } from "../http/byte-ranges.ts";
import { describeUrl } from "../find/describe-ref.ts";
import { FileAddress } from "../http/file-address.ts";
import type { HttpConnection, HubAnswer } from "../http/hub-connection.ts";
import type { HubResponse } from "../http/http-get.ts";
import { PartFile, type PartWriter } from "./part-file.ts";
import type { RemoteFile } from "../http/remote-file.ts";
import { TransientError, withRetries } from "../http/retry.ts";
import { runConcurrently } from "./run-concurrently.ts";
import type { Transfer } from "./transfer.ts";

export interface BlobDownload {
  /** The published address of the file; it may redirect elsewhere, to another place each time. */
  readonly url: string;
  /** Where the blob will be. */
  readonly path: string;
  readonly file: RemoteFile;
  /** What to say when the content is wrong. */
  readonly expected: Expected;
  readonly hub: HttpConnection;
  readonly transfer: Transfer;
  /** Called with the bytes that have come as they grow; they shrink when a download starts over. */
  readonly onBytes: (doneBytes: number) => void;
}

/** What a file's content must be, for messages. */
export interface Expected {
  /** Of the error. */
  readonly code: string;
  /** `what the Hub lists`. */
  readonly content: string;
  readonly fix: Fix;
}

/**
 * Downloads one file, several ranges of it at once, and gives it its name only when its digest is right; goes on where
 * an earlier run stopped. What came so far stays on disk when it fails. Only one process may do this for one path.
 * @returns the digest of its content.
 * @throws LlmctlError `hub-digest-mismatch` or as told when two whole downloads were wrong (the part is then deleted),
 *   `no-space`, or as {@link getFromHub}; TransientError when the last retry failed; the signal's reason when aborted.
 */
export async function downloadBlob(download: BlobDownload): Promise<string> {
  const part = await PartFile.open(download.path, download.file);
  try {
    // Neither a digest nor an ETag would tell that the content has changed since then.
    if (download.file.digest === undefined && part.etag === undefined && part.doneBytes > 0) await part.restart();
    await fill(part, download);
    if (!(await part.isIntact())) {
      download.transfer.retries.onRetry(
        `"${download.file.name}" came with content that is not ${download.expected.content}`,
        0,
      );
      await part.restart();
      await fill(part, download);
    }
    if (!(await part.isIntact())) {
      await part.discard();
      throw mismatchError(download);
    }
    const digest = await part.digest();
    await part.publish();
    return digest;
  } finally {
    await part.close();
  }
}

/** The server has shown that the bytes so far are of no use. */
class StartOver extends Error {
  override readonly name = "StartOver";
  /** Whether it is worth asking for ranges again. */
  readonly hasRanges: boolean;

  constructor(message: string, hasRanges: boolean) {
    super(message);
    this.hasRanges = hasRanges;
  }
}

/** Often enough for a server behind which several machines disagree. */
const maxStartsOver = 5;

async function fill(part: PartFile, download: BlobDownload): Promise<void> {
  let rangeBytes = download.transfer.limits.rangeBytes;
  for (let startsOver = 0; ; startsOver += 1) {
    download.onBytes(part.doneBytes);
    try {
      return await fetchMissing(part, rangeBytes, download);
    } catch (error) {
      if (!(error instanceof StartOver)) throw error;
      if (startsOver === maxStartsOver) throw new TransientError(error.message, { cause: error });
      download.transfer.retries.onRetry(`${error.message}; starting "${download.file.name}" over`, 0);
      await part.restart();
      // All of it in one answer, which a server without ranges gives, too, and which cannot mix the contents of
      // several.
      if (!error.hasRanges || startsOver > 0) rangeBytes = Infinity;
    }
  }
}

/** Stops a size of which others say that it is a petabyte from becoming millions of ranges. */
const mostRanges = 20_000;

async function fetchMissing(part: PartFile, rangeBytes: number, download: BlobDownload): Promise<void> {
  const { transfer, hub } = download;
  const address = new FileAddress(download.url);
  const pieceBytes = Math.max(rangeBytes, Math.ceil(download.file.sizeBytes / mostRanges));
  const ranges = rangeBytes === Infinity ? part.missing : cutRanges(part.missing, pieceBytes);
  await runConcurrently(ranges, { limit: transfer.limits.connections, signal: hub.signal }, (range, signal) =>
    transfer.buffers.use((gathered) =>
      fetchRange(range, { part, address, gathered, download, hub: { ...hub, signal } }),
    ),
  );
}

/** What the request for one range of a file works with. */
interface RangeFetch {
  /** Of the connection. */
  readonly gathered: Buffer;
  readonly part: PartFile;
  readonly address: FileAddress;
  readonly download: BlobDownload;
  /** As that of the download, but stopped with the other ranges. */
  readonly hub: HttpConnection;
}

async function fetchRange({ start, end }: ByteRange, task: RangeFetch): Promise<void> {
  const { part, address, gathered, download, hub } = task;
  let offset = start;
  const attempt = async () => {
    hub.signal.throwIfAborted();
    await download.transfer.checkSpace();
    await address.get(requestHeaders({ start: offset, end }, task), hub, async (answer) => {
      await agree({ start: offset, end }, answer.response, task);
      const writer = part.writeFrom(offset, gathered);
      try {
        await copyBody(writer, end, answer, task);
      } finally {
        await writer.flush();
        offset = writer.offset;
      }
    });
  };
  await withRetries(attempt, { ...download.transfer.retries, signal: hub.signal, progress: () => offset });
}

/** Content coding would change the bytes that the ranges and the digest are about. */
function requestHeaders(range: ByteRange, { part, download }: RangeFetch): Record<string, string> {
  const plain = { "accept-encoding": "identity" };
  if (isWhole(range, download.file)) return plain;
  return {
    ...plain,
    range: `bytes=${range.start}-${range.end - 1}`,
    ...(part.etag === undefined ? {} : { "if-range": part.etag }),
  };
}

function isWhole({ start, end }: ByteRange, { sizeBytes }: RemoteFile): boolean {
  return start === 0 && end === sizeBytes;
}

/** A 200 is the whole file whatever was asked for; a 206 must be exactly what was, of the same content as the rest. */
async function agree(range: ByteRange, response: HubResponse, { part, download: { file } }: RangeFetch): Promise<void> {
  const etag = response.headers.get("etag");
  if (response.status !== 206) {
    // With If-Range it is the answer to content that has changed.
    if (!isWhole(range, file))
      throw new StartOver("the server sent the whole file where a part was asked for", part.etag !== undefined);
    return part.setEtag(etag);
  }
  const sent = response.headers.get("content-range") ?? "no content-range";
  if (sent !== `bytes ${range.start}-${range.end - 1}/${file.sizeBytes}`) {
    throw new TransientError(`the server sent "${sent}", which was not asked for`);
  }
  // A digest would tell; without one this is all that does.
  if (file.digest === undefined && part.etag !== undefined && etag !== part.etag)
    throw new StartOver("the content has changed", true);
  if (part.etag === undefined) await part.setEtag(etag);
}

async function copyBody(
  writer: PartWriter,
  end: number,
  { chunks }: HubAnswer,
  { part, download, hub }: RangeFetch,
): Promise<void> {
  const { transfer, onBytes } = download;
  for await (const chunk of chunks) {
    if (writer.offset + chunk.length > end)
      throw new StartOver(`the server sends more than the ${download.file.sizeBytes} bytes listed`, false);
    await writer.push(chunk);
    onBytes(part.doneBytes);
    await transfer.rate?.take(chunk.length, hub.signal);
  }
  if (writer.offset < end) throw new TransientError(`the answer ended ${end - writer.offset} bytes early`);
}

function mismatchError({ file, url, expected }: BlobDownload): LlmctlError {
  const digest = file.digest === undefined ? "" : ` (digest ${file.digest})`;
  return new LlmctlError(
    expected.code,
    `"${file.name}" came twice with content that is not ${expected.content}${digest}`,
    {
      exit: "missingFile",
      at: describeUrl(url),
      fix: expected.fix,
    },
  );
}
