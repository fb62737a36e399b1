import { LlmctlError } from "../../base/errors.ts";
import type { FileOperations } from "../../base/files/file-operations.ts";
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
  /** The published address of the file; it may redirect to another server each time. */
  readonly url: string;
  /** The final path of the blob. */
  readonly path: string;
  readonly file: RemoteFile;
  /** The words for an error about the content. */
  readonly expected: Expected;
  readonly hub: HttpConnection;
  readonly transfer: Transfer;
  /** Called with the number of bytes so far; it shrinks when a download starts over. */
  readonly onBytes: (doneBytes: number) => void;
  readonly files?: FileOperations;
}

/** The words for an error about a file's content. */
export interface Expected {
  /** Code of the error. */
  readonly code: string;
  /** What the content should be, such as `what the Hub lists`. */
  readonly content: string;
  readonly fix: Fix;
}

/**
 * Downloads one file, several ranges at once, and gives it its final name only when its digest is right. It resumes an
 * earlier run, and keeps its bytes on disk when it fails. Only one process may do this for one path.
 * @returns the digest of its content.
 * @throws LlmctlError with the code of `expected` when two whole downloads were wrong (the part is then deleted),
 *   `no-space`, or as {@link getFromHub}; TransientError when the last retry failed; the signal's reason when aborted.
 */
export async function downloadBlob(download: BlobDownload): Promise<string> {
  const part = await PartFile.open(download.path, download.file, download.files);
  try {
    // Neither a digest nor an ETag could tell whether the content has changed since.
    if (download.file.digest === undefined && part.etag === undefined) await part.restart();
    await fill(part, download);
    if (!(await part.isIntact())) {
      download.transfer.retries.onRetry(
        `"${download.file.name}" arrived with content that is not ${download.expected.content}`,
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

/** The bytes so far are useless. */
class StartOver extends Error {
  override readonly name = "StartOver";
  /** Whether the server supports ranges. */
  readonly hasRanges: boolean;

  constructor(message: string, hasRanges: boolean) {
    super(message);
    this.hasRanges = hasRanges;
  }
}

/** Enough for a server whose machines disagree for a while. */
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
      // One answer for the whole file: a server without ranges can give it, and it cannot mix several versions.
      if (!error.hasRanges || startsOver > 0) rangeBytes = Infinity;
    }
  }
}

/** Keeps an announced size of a petabyte from becoming millions of ranges. */
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

/** What the request for one range needs. */
interface RangeFetch {
  /** The buffer of the connection. */
  readonly gathered: Buffer;
  readonly part: PartFile;
  readonly address: FileAddress;
  readonly download: BlobDownload;
  /** With a signal that also aborts when another range fails. */
  readonly hub: HttpConnection;
}

async function fetchRange({ start, end }: ByteRange, task: RangeFetch): Promise<void> {
  const { part, address, gathered, download, hub } = task;
  let offset = start;
  const attempt = async () => {
    hub.signal.throwIfAborted();
    await download.transfer.checkSpace();
    await address.get(requestHeaders({ start: offset, end }, task), hub, async (answer) => {
      await checkAnswer({ start: offset, end }, answer.response, task);
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

/** A 200 is the whole file. A 206 must be exactly the requested range, of the same content as the other ranges. */
async function checkAnswer(
  range: ByteRange,
  response: HubResponse,
  { part, download: { file } }: RangeFetch,
): Promise<void> {
  const etag = response.headers.get("etag");
  if (response.status !== 206) {
    // With If-Range, a 200 says that the content has changed.
    if (!isWhole(range, file))
      throw new StartOver("the server sent the whole file instead of a range", part.etag !== undefined);
    return part.setEtag(etag);
  }
  const sent = response.headers.get("content-range") ?? "no content-range";
  if (sent !== `bytes ${range.start}-${range.end - 1}/${file.sizeBytes}`) {
    throw new TransientError(`the server sent "${sent}", which is not the requested range`);
  }
  // With a digest, the digest tells. Without one, only the ETag does.
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
    `"${file.name}" arrived twice with content that is not ${expected.content}${digest}`,
    {
      exit: "missingFile",
      at: describeUrl(url),
      fix: expected.fix,
    },
  );
}
