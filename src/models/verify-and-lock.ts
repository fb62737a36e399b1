import { readModelLock, writeModelLock, type ModelLock } from "../hub/find/model-lock.ts";
import { expectFiles, findKnown, listUnverified, type ExpectedFile } from "../hub/keep/verify-model.ts";
import type { RemoteModelRef } from "../profiles/schema/schema.ts";
import type { FulfilledRequest } from "./plan-models.ts";
import { verifyContent, type VerifyContentOptions } from "./verify-content.ts";

interface VerifyAndLockOptions extends Omit<VerifyContentOptions, "again"> {
  /** Read the content of files that was not read yet. */
  readonly verify: boolean;
}

/**
 * Makes models on disk reliable: reads once the files that another program has fetched, and locks each reference to the
 * commit of its files, so that a later start finds the same files without network.
 * @throws LlmctlError as {@link verifyContent}.
 */
export async function verifyAndLock(models: readonly FulfilledRequest[], options: VerifyAndLockOptions): Promise<void> {
  const toLock: { readonly ref: RemoteModelRef; readonly lock: ModelLock }[] = [];
  const unverified: ExpectedFile[] = [];
  for (const { ref, files, find } of models) {
    if (typeof ref === "string") continue;
    const known = await readModelLock(options.lockFolder, ref);
    const lock = known ?? (await findKnown(ref, files, options.lockFolder));
    if (lock === undefined) continue;
    const expected = ((await expectFiles(files, lock)) ?? []).map((file) => ({ ...file, profile: find.profile }));
    unverified.push(...(await listUnverified(expected, options.lockFolder)));
    if (known === undefined && mayLock(ref, lock)) toLock.push({ ref, lock });
  }
  const { verify, ...verifying } = options;
  if (verify && unverified.length > 0) await verifyContent(unverified, verifying);
  for (const { ref, lock } of toLock) await writeModelLock(options.lockFolder, ref, lock);
}

/** A reference that names a commit is not locked to another one. */
function mayLock(ref: RemoteModelRef, { commit }: ModelLock): boolean {
  if ("url" in ref) return true;
  const { revision } = ref;
  return revision === undefined || !/^[0-9a-f]{40}$/.test(revision) || revision === commit;
}
