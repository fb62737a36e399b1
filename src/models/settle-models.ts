import { LlmctlError } from "../base/errors.ts";
import { readModelLock, writeModelLock, type ModelLock } from "../hub/find/model-lock.ts";
import { expectFiles, findKnown, listUnverified, verifyFiles, type ExpectedFile } from "../hub/keep/verify-model.ts";
import type { RemoteModelRef } from "../profiles/schema/schema.ts";
import type { CompleteModel } from "./fetch-models.ts";
import type { OnModelEvent } from "./model-event.ts";

interface SettleOptions {
  readonly lockFolder: string;
  readonly onEvent: OnModelEvent;
  readonly signal: AbortSignal;
  /** Read the content of files that was not read yet. */
  readonly verify: boolean;
}

/**
 * Makes models that were found on disk ones to rely on: reads once what another program has fetched, and locks the
 * references to the commits that the files are of, so that a later start finds the same without network.
 * @throws LlmctlError `model-damaged`, `interrupted`.
 */
export async function settleModels(models: readonly CompleteModel[], options: SettleOptions): Promise<void> {
  const settled: { readonly ref: RemoteModelRef; readonly lock: ModelLock }[] = [];
  const unverified: ExpectedFile[] = [];
  for (const { ref, files, find } of models) {
    if (typeof ref === "string") continue;
    const known = await readModelLock(options.lockFolder, ref);
    const lock = known ?? (await findKnown(ref, files, options.lockFolder));
    if (lock === undefined) continue;
    const expected = ((await expectFiles(files, lock)) ?? []).map((file) => ({ ...file, profile: find.profile }));
    unverified.push(...(await listUnverified(expected, options.lockFolder)));
    if (known === undefined && isOf(ref, lock)) settled.push({ ref, lock });
  }
  if (options.verify && unverified.length > 0) await verify(unverified, options);
  for (const { ref, lock } of settled) await writeModelLock(options.lockFolder, ref, lock);
}

async function verify(files: readonly ExpectedFile[], { lockFolder, onEvent, signal }: SettleOptions): Promise<void> {
  onEvent({ kind: "verify-plan", files });
  try {
    await verifyFiles(files, { lockFolder, signal, onProgress: (event) => onEvent({ ...event, model: event.file }) });
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new LlmctlError("interrupted", "the look at the models' content was interrupted", { exit: "interrupted" });
  }
}

/** A reference to a commit is not locked to another one. */
function isOf(ref: RemoteModelRef, { commit }: ModelLock): boolean {
  if ("url" in ref) return true;
  const { revision } = ref;
  return revision === undefined || !/^[0-9a-f]{40}$/.test(revision) || revision === commit;
}
