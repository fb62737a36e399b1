import { listFiles, modelInfo } from "@huggingface/hub";
import { z } from "zod";
import { LlmctlError } from "../../base/errors.ts";
import { parseJson } from "../../base/text/parse-json.ts";
import { collectBounded } from "../../base/files/read-bounded.ts";
import { quote } from "../../profiles/yaml/quote-value.ts";
import type { HubModelRef } from "../../profiles/schema/schema.ts";
import { isSafePath } from "./hub-cache.ts";
import { getFromHub, type HubAnswer, type HubConnection } from "../http/hub-connection.ts";
import { mostFileBytes, type RemoteFile } from "../http/remote-file.ts";
import { withRetries, type RetryRule } from "../http/retry.ts";

/** One file of a repository at one commit. */
export interface HubFile extends RemoteFile {
  /**
   * Hex digest of the content: sha256 for what the Hub keeps outside git (LFS, Xet), else git's own blob id. It names
   * the blob in the cache.
   */
  readonly digest: string;
}

export interface ModelListing {
  readonly commit: string;
  readonly files: readonly HubFile[];
}

/**
 * What a Hub may answer. Repositories have some thousand files at most; the Hub sends 1000 a page, of some 300 bytes
 * each.
 */
export const listLimits = {
  /** Stops a body without end, which would fill the memory. */
  answerBytes: 8 << 20,
  /** Stops a body that comes byte by byte, each in time for the next. */
  answerMs: 5 * 60_000,
  /** Stops pages without end. That a page names itself, or one before it, as the next is seen at once. */
  pages: 1000,
  files: 50_000,
} as const;

const commitSchema = z.object({ sha: z.string().regex(/^[0-9a-f]{40}$/) });
const sizeSchema = z.int().min(0).max(mostFileBytes);
const fileSchema = z.object({
  path: z.string().refine(isSafePath, "leads out of the repository, or is no name of a file"),
  size: sizeSchema,
  oid: z.string().regex(/^[0-9a-f]{40}$/),
  lfs: z.object({ oid: z.string().regex(/^[0-9a-f]{64}$/), size: sizeSchema }).optional(),
});

/**
 * Asks the Hub which commit a revision is, and lists its files.
 * @throws LlmctlError `hub-denied`, `hub-not-found`, `hub-error`, or `hub-bad-listing` for an answer that cannot be
 *   trusted.
 */
export async function listModel(ref: HubModelRef, hub: HubConnection, retries: RetryRule): Promise<ModelListing> {
  const shared = { hubUrl: hub.endpoint, fetch: fetchWhole(hub, retries) };
  const info = await modelInfo({
    ...shared,
    name: ref.hf,
    revision: ref.revision ?? "main",
    additionalFields: ["sha"],
  });
  const { sha: commit } = checked(commitSchema, info, ref);
  const files: HubFile[] = [];
  // The commit and not the branch: a push between two pages must not mix two states.
  let left: number = listLimits.files;
  for await (const entry of listFiles({
    ...shared,
    repo: { type: "model", name: ref.hf },
    revision: commit,
    recursive: true,
  })) {
    left -= 1;
    if (left < 0) throw refuse(ref, `it has more than ${listLimits.files} files and folders`);
    if (entry.type !== "file") continue;
    const file = checked(fileSchema, entry, ref);
    files.push({ name: file.path, sizeBytes: file.lfs?.size ?? file.size, digest: file.lfs?.oid ?? file.oid });
  }
  return { commit, files };
}

function checked<T>(schema: z.ZodType<T>, value: unknown, ref: HubModelRef): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const entry = z.object({ path: z.string() }).safeParse(value);
  const where = entry.success ? ` of ${quote(entry.data.path.slice(0, longestShown))}` : "";
  throw refuse(ref, `${issue?.path.join(".")}${where}: ${issue?.message}`);
}

/** Of a path, in a message. */
const longestShown = 300;

function refuse(ref: HubModelRef, why: string): LlmctlError {
  return new LlmctlError("hub-bad-listing", `the listing of "${ref.hf}" is refused: ${why}`, {
    exit: "failed",
    fix: "check HF_ENDPOINT; nothing was written",
  });
}

/** A `fetch` for the Hub client: retried, and read whole so that a line that drops in the middle is retried too. */
function fetchWhole(hub: HubConnection, retries: RetryRule): typeof fetch {
  const asked = new Set<string>();
  return async (input) => {
    const url = input instanceof Request ? input.url : String(input);
    if (!URL.canParse(url)) throw notAHub(hub.endpoint, "names a next page that is no address");
    if (asked.has(url)) throw notAHub(url, "lists the same page again and again");
    asked.add(url);
    if (asked.size > listLimits.pages) throw notAHub(url, `lists more than ${listLimits.pages} pages`);
    return withRetries(() => getFromHub(url, { accept: "application/json" }, hub, readJsonAnswer), retries);
  };
}

async function readJsonAnswer({ response, chunks }: HubAnswer): Promise<Response> {
  const { url, headers } = response;
  const body = await collectBounded(inTime(chunks, url), listLimits.answerBytes);
  if (body === undefined) throw notAHub(url, `answers with more than ${listLimits.answerBytes} bytes`);
  const value = parseOrNothing(body.toString("utf8"));
  const isList = new URL(url).pathname.includes("/tree/");
  const isAsAsked = isList ? Array.isArray(value) && value.every(isMap) : isMap(value);
  if (!isAsAsked) throw notAHub(url, "does not answer as a Hub does");
  return Object.assign(new Response(null, { headers: { link: headers.get("link") ?? "" } }), {
    json: async () => value,
  });
}

/** @throws LlmctlError when the chunks take too long together, each of which came in time. */
async function* inTime(chunks: AsyncIterable<Uint8Array>, url: string): AsyncGenerator<Uint8Array> {
  const startMs = performance.now();
  for await (const chunk of chunks) {
    if (performance.now() - startMs > listLimits.answerMs)
      throw notAHub(url, `sends an answer for more than ${listLimits.answerMs / 1000} s`);
    yield chunk;
  }
}

function isMap(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function notAHub(url: string, what: string): LlmctlError {
  const { origin, pathname } = new URL(url);
  return new LlmctlError("hub-bad-listing", `${origin} ${what}`, {
    exit: "unavailable",
    at: (origin + pathname).slice(0, longestShown),
    fix: "check HF_ENDPOINT",
  });
}

function parseOrNothing(text: string): unknown {
  try {
    return parseJson(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined; // an HTML page, half an answer, or brackets without end
    throw error;
  }
}
