import { z } from "zod";
import { answerPath, readAnswer } from "../../base/files/answer-cache.ts";
import { writeFileAtomic } from "../../base/files/atomic-write.ts";
import type { ModelFiles } from "../../hub/find/model-files.ts";
import type { RemoteModelRef } from "../../profiles/schema/schema.ts";
import type { VocabRule } from "./build-vocab-rule.ts";

/** A target on disk, and a draft that was judged by its headers on its server. */
interface JudgedPair {
  readonly targetFiles: ModelFiles["shards"];
  readonly draft: RemoteModelRef;
  readonly type: string;
  readonly rule: VocabRule;
}

const noteSchema = z.object({ reason: z.string().min(1).max(4000) });

function isNote(value: unknown): value is z.infer<typeof noteSchema> {
  return noteSchema.safeParse(value).success;
}

/**
 * Notes why a draft was not fetched, so that a start without it can say why it does not draft. The note is valid for
 * these target files, this reference and this rule. Without a valid note the draft counts as missing, and the next pull
 * judges it again.
 */
export async function noteSkippedDraft(cacheDir: string, pair: JudgedPair, reason: string): Promise<void> {
  await writeFileAtomic(notePath(cacheDir, pair), `${JSON.stringify({ reason })}\n`);
}

/** Why the last pull did not fetch this draft; undefined without a valid note. */
export async function findSkippedDraft(cacheDir: string, pair: JudgedPair): Promise<string | undefined> {
  return (await readAnswer(notePath(cacheDir, pair), isNote))?.reason;
}

function notePath(cacheDir: string, { targetFiles, draft, type, rule }: JudgedPair): string {
  const ref = "url" in draft ? [draft.url, draft.sha256] : [draft.hf, draft.quant, draft.file, draft.revision];
  const pair = [targetFiles.map(({ path, sizeBytes }) => [path, sizeBytes]), ...ref, type, rule];
  return answerPath(cacheDir, "skipped-drafts", pair);
}
