import { listFiles, modelInfo } from "@huggingface/hub";
import { z } from "zod";
import { LlmctlError } from "../base/errors.ts";
import { quote } from "../profiles/quote.ts";
import type { HubModelRef } from "../profiles/schema.ts";
import { isSafePath } from "./hub-cache.ts";
import { getFromHub, type HubAnswer, type HubConnection } from "./hub-connection.ts";
import type { RemoteFile } from "./remote-file.ts";
import { withRetries, type RetryRule } from "./retry.ts";

/** One file of a repository at one commit. */
export interface HubFile extends RemoteFile {
  /** Hex digest of the content: sha256 for what the Hub keeps outside git (LFS, Xet), else git's own blob id. It names the blob in the cache. */
  readonly digest: string;
}

export interface ModelListing {
  readonly commit: string;
  readonly files: readonly HubFile[];
}

const commitSchema = z.object({ sha: z.string().regex(/^[0-9a-f]{40}$/) });
const sizeSchema = z.int().min(0);
const fileSchema = z.object({
  path: z.string().refine(isSafePath, "leads out of the repository"),
  size: sizeSchema,
  oid: z.string().regex(/^[0-9a-f]{40}$/),
  lfs: z.object({ oid: z.string().regex(/^[0-9a-f]{64}$/), size: sizeSchema }).optional(),
});

/**
 * Asks the Hub which commit a revision is, and lists its files.
 * @throws LlmctlError `hub-denied`, `hub-not-found`, `hub-error`, or `hub-bad-listing` for an answer that cannot be trusted.
 */
export async function listModel(ref: HubModelRef, hub: HubConnection, retries: RetryRule): Promise<ModelListing> {
  const shared = { hubUrl: hub.endpoint, fetch: fetchWhole(hub, retries) };
  const info = await modelInfo({ ...shared, name: ref.hf, revision: ref.revision ?? "main", additionalFields: ["sha"] });
  const { sha: commit } = checked(commitSchema, info, ref);
  const files: HubFile[] = [];
  // The commit and not the branch: a push between two pages must not mix two states.
  for await (const entry of listFiles({ ...shared, repo: { type: "model", name: ref.hf }, revision: commit, recursive: true })) {
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
  const where = entry.success ? ` of ${quote(entry.data.path)}` : "";
  throw new LlmctlError("hub-bad-listing", `the listing of "${ref.hf}" is refused: ${issue?.path.join(".")}${where}: ${issue?.message}`, {
    exit: "failed",
    fix: "check HF_ENDPOINT; nothing was written",
  });
}

/** A `fetch` for the Hub client: retried, and read whole so that a line that drops in the middle is retried too. */
function fetchWhole(hub: HubConnection, retries: RetryRule): typeof fetch {
  return async (input) => {
    const url = input instanceof Request ? input.url : String(input);
    return withRetries(() => getFromHub(url, { accept: "application/json" }, hub, readJsonAnswer), retries);
  };
}

async function readJsonAnswer({ response, chunks }: HubAnswer): Promise<Response> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  const text = Buffer.concat(parts).toString("utf8");
  const { origin, pathname } = new URL(response.url);
  if (!isJson(text, pathname.includes("/tree/"))) {
    throw new LlmctlError("hub-bad-listing", `${origin} does not answer as a Hub does`, {
      exit: "unavailable",
      at: origin + pathname,
      fix: "check HF_ENDPOINT",
    });
  }
  return new Response(text, { headers: response.headers });
}

function isJson(text: string, list: boolean): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && Array.isArray(value) === list;
  } catch {
    return false; // an HTML page, or half an answer
  }
}
