import { LlmctlError } from "../../base/errors.ts";
import { describeUrl } from "./describe-ref.ts";
import { getFromHub, type HttpConnection, type HubAnswer } from "../http/hub-connection.ts";
import type { HubResponse } from "../http/http-get.ts";
import { placeOf, type NamedAt } from "./measure-file.ts";
import { ggufMagic } from "../download/part-file.ts";
import { parseByteCount } from "../http/remote-file.ts";
import { withRetries, type RetryRule } from "../http/retry.ts";

/** What a server tells about a file before it is fetched. */
export interface ProbedFile {
  readonly sizeBytes: number;
  /** The server's name for this content: its ETag, or its time of change; undefined when it gives neither. */
  readonly version: string | undefined;
}

interface Asked extends NamedAt {
  readonly url: string;
}

interface ProbeOptions extends NamedAt {
  readonly connection: HttpConnection;
  readonly retries: RetryRule;
}

/**
 * Asks for the first bytes of a file.
 * @throws LlmctlError `url-not-gguf` for a web page or another format, `url-without-size`, `url-insecure` when it
 *   redirects to plain http, or as {@link getFromHub}; TransientError when the last retry failed.
 */
export async function probeUrl(url: string, { connection, retries, at }: ProbeOptions): Promise<ProbedFile> {
  // Content coding would change the bytes that the size is about.
  const headers = { range: `bytes=0-${ggufMagic.length - 1}`, "accept-encoding": "identity" };
  return withRetries(() => getFromHub(url, headers, connection, (answer) => readAnswer({ url, at }, answer)), retries);
}

async function readAnswer(asked: Asked, { response, chunks }: HubAnswer): Promise<ProbedFile> {
  checkRedirect(asked, response);
  const head = await readHead(chunks);
  if (!head.equals(ggufMagic)) throw notGguf(asked, response, head);
  const sizeBytes = readSize(response);
  if (sizeBytes === undefined) {
    throw new LlmctlError(
      "url-without-size",
      `${describeUrl(asked.url)} cannot be fetched: its server does not tell its size`,
      {
        exit: "unavailable",
        ...placeOf(asked),
        fix: "download it in another way, and name the file on disk",
      },
    );
  }
  return { sizeBytes, version: response.headers.get("etag") ?? response.headers.get("last-modified") ?? undefined };
}

/** A short answer is read to its end, so that the connection can carry the next request. */
const longestAnswerBytes = 2 ** 20;

async function readHead(chunks: HubAnswer["chunks"]): Promise<Buffer> {
  let head = Buffer.alloc(0);
  let readBytes = 0;
  for await (const chunk of chunks) {
    head = Buffer.concat([head, chunk.subarray(0, ggufMagic.length)]).subarray(0, ggufMagic.length);
    readBytes += chunk.length;
    if (readBytes > longestAnswerBytes) break;
  }
  return head;
}

function readSize({ status, headers }: HubResponse): number | undefined {
  const range = /^bytes \d+-\d+\/(\d+)$/.exec(headers.get("content-range") ?? "")?.[1];
  return parseByteCount(status === 206 ? range : headers.get("content-length"));
}

function notGguf(asked: Asked, { headers }: HubResponse, head: Buffer): LlmctlError {
  const isPage = /html/i.test(headers.get("content-type") ?? "") || head[0] === "<".charCodeAt(0);
  const what = isPage
    ? "is a web page, not a GGUF file"
    : `is not a GGUF file: it begins with ${JSON.stringify(head.toString("latin1"))}`;
  return new LlmctlError("url-not-gguf", `${describeUrl(asked.url)} ${what}`, {
    exit: "missingFile",
    ...placeOf(asked),
    fix: "use the address of the file itself; an address that needs a login in a browser does not work",
  });
}

/** A file requested over https must not come over plain http. */
function checkRedirect(asked: Asked, response: HubResponse): void {
  if (new URL(asked.url).protocol !== "https:" || new URL(response.url).protocol === "https:") return;
  throw new LlmctlError(
    "url-insecure",
    `${describeUrl(asked.url)} redirects to an address without https, ${describeUrl(response.url)}`,
    {
      exit: "unavailable",
      ...placeOf(asked),
      fix: "use an address that stays on https",
    },
  );
}
