import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { writeFileAtomic } from "../base/atomic-write.ts";
import { systemErrorCode } from "../base/errors.ts";
import type { ModelFiles } from "../hub/model-files.ts";
import type { RemoteModelRef } from "../profiles/schema.ts";
import type { VocabRule } from "./vocab-rule.ts";

/** A target on disk, and a draft that was judged by its headers where it is published. */
interface JudgedPair {
  readonly targetFiles: ModelFiles["shards"];
  readonly draft: RemoteModelRef;
  readonly type: string;
  readonly rule: VocabRule;
}

const noteSchema = z.object({ reason: z.string().min(1).max(4000) });

/**
 * Notes why a draft was not fetched, so that a start without it can say why it does not draft. The note holds for these target files, this
 * reference and this rule; where it does not hold or is lost, the draft counts as missing and a pull judges it again.
 */
export async function noteSkippedDraft(cacheDir: string, pair: JudgedPair, reason: string): Promise<void> {
  await writeFileAtomic(notePath(cacheDir, pair), `${JSON.stringify({ reason })}\n`);
}

/** Why this draft was not fetched; undefined when nothing is known. */
export async function findSkippedDraft(cacheDir: string, pair: JudgedPair): Promise<string | undefined> {
  try {
    const note = noteSchema.safeParse(JSON.parse(await readFile(notePath(cacheDir, pair), "utf8")));
    return note.success ? note.data.reason : undefined;
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT" || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function notePath(cacheDir: string, { targetFiles, draft, type, rule }: JudgedPair): string {
  const ref = "url" in draft ? [draft.url, draft.sha256] : [draft.hf, draft.quant, draft.file, draft.revision];
  const pair = [targetFiles.map(({ path, sizeBytes }) => [path, sizeBytes]), ...ref, type, rule];
  return join(cacheDir, "skipped-drafts", `${createHash("sha256").update(JSON.stringify(pair)).digest("hex").slice(0, 32)}.json`);
}
