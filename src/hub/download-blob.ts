import { LlmctlError } from "../base/errors.ts";
import { getFromHub, type HubAnswer, type HubConnection } from "./hub-connection.ts";
import type { HubFile } from "./list-model.ts";
import { PartFile } from "./part-file.ts";
import { TransientError, withRetries, type RetryRule } from "./retry.ts";

export interface BlobDownload {
  /** The Hub's own address of the file; it may redirect elsewhere, to another place each time. */
  readonly url: string;
  /** Where the blob will be. */
  readonly path: string;
  readonly file: HubFile;
  readonly hub: HubConnection;
  readonly retries: Omit<RetryRule, "progress">;
  /** Called with the bytes on disk as they grow; they shrink when a download starts over. */
  readonly onBytes: (doneBytes: number) => void;
}

/**
 * Downloads one file and gives it its name only when its digest is right; goes on where an earlier run stopped. What came so far stays on
 * disk when it fails. Only one process may do this for one path.
 * @throws LlmctlError `hub-digest-mismatch` when two whole downloads were wrong (the part is then deleted), or as {@link getFromHub};
 * TransientError when the last retry failed; the signal's reason when aborted.
 */
export async function downloadBlob(download: BlobDownload): Promise<void> {
  const part = await PartFile.open(download.path, download.file, download.hub.signal);
  try {
    await fill(part, download);
    if (!part.isIntact) {
      await part.restart();
      await fill(part, download);
    }
    if (!part.isIntact) {
      await part.discard();
      throw mismatchError(download);
    }
    await part.publish();
  } finally {
    await part.close();
  }
}

async function fill(part: PartFile, download: BlobDownload): Promise<void> {
  download.onBytes(part.length);
  await withRetries(() => fetchRest(part, download), { ...download.retries, progress: () => part.length });
}

async function fetchRest(part: PartFile, download: BlobDownload): Promise<void> {
  if (part.length === download.file.sizeBytes) return;
  await getFromHub(download.url, rangeHeaders(part), download.hub, async (answer) => {
    await agreeOnStart(part, answer.response, download.file);
    await appendBody(part, answer, download);
  });
}

/** Content coding would change the bytes that the ranges and the digest are about. */
function rangeHeaders(part: PartFile): Record<string, string> {
  const plain = { "accept-encoding": "identity" };
  if (part.length === 0) return plain;
  return { ...plain, range: `bytes=${part.length}-`, ...(part.etag === undefined ? {} : { "if-range": part.etag }) };
}

/** A 200 is the whole file whatever was asked for; a 206 must be exactly the rest. */
async function agreeOnStart(part: PartFile, response: Response, file: HubFile): Promise<void> {
  if (response.status !== 206) return part.restart(response.headers.get("etag") ?? undefined);
  const range = response.headers.get("content-range");
  if (part.length > 0 && range === `bytes ${part.length}-${file.sizeBytes - 1}/${file.sizeBytes}`) return;
  await part.restart();
  throw new TransientError(`the server sent "${range ?? "no content-range"}", which was not asked for`);
}

async function appendBody(part: PartFile, { chunks }: HubAnswer, { file, onBytes }: BlobDownload): Promise<void> {
  for await (const chunk of chunks) {
    if (part.length + chunk.length > file.sizeBytes) {
      await part.restart();
      throw new TransientError(`the server sends more than the ${file.sizeBytes} bytes listed`);
    }
    await part.append(chunk);
    onBytes(part.length);
  }
  if (part.length < file.sizeBytes) throw new TransientError(`the answer ended ${file.sizeBytes - part.length} bytes early`);
}

function mismatchError({ file, url }: BlobDownload): LlmctlError {
  return new LlmctlError(
    "hub-digest-mismatch",
    `"${file.name}" came twice with content that is not what the Hub lists (digest ${file.digest})`,
    {
      exit: "missingFile",
      at: url,
      fix: "something between here and the Hub changes the data: check HF_ENDPOINT and proxies, then pull again",
    },
  );
}
