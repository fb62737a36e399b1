import type { HubModelRef } from "../../profiles/schema/schema.ts";
import { connect, retryRule, type HubAccess } from "../http/hub-access.ts";
import { listModel } from "../find/list-model.ts";
import type { ModelFiles } from "../find/model-files.ts";
import type { ModelLock } from "../find/model-lock.ts";
import { matchFiles } from "../find/select-files.ts";

/**
 * Asks the Hub for the commit and digests of files of unknown origin.
 * @returns the current commit and its digests; undefined when the sizes differ, because of another upload or damage.
 * @throws LlmctlError as {@link listModel}.
 */
export async function askIdentity(
  ref: HubModelRef,
  { shards }: ModelFiles,
  access: HubAccess,
): Promise<ModelLock | undefined> {
  const { commit, files } = await listModel(ref, connect(access), retryRule(access));
  const byName = new Map(files.map((file) => [file.name, file]));
  const match = matchFiles([...byName.keys()], ref);
  if (match.kind !== "one") return undefined;
  const listed = match.names.flatMap((name) => byName.get(name) ?? []);
  const isSame =
    listed.length === shards.length && listed.every(({ sizeBytes }, i) => sizeBytes === shards[i]?.sizeBytes);
  return isSame ? { commit, files: listed } : undefined;
}
