import { LlmctlError } from "../../base/errors.ts";
import type { HubModelRef, RemoteModelRef } from "../../profiles/schema/schema.ts";
import { describeRef } from "../find/describe-ref.ts";
import { measureHave } from "./fetch-files.ts";
import { searchModel, type FindOptions } from "../find/find-model.ts";
import { blobPath, repoFolder } from "../find/hub-cache.ts";
import { offlineError, type HubAccess } from "../http/hub-access.ts";
import { hubStore } from "./fetch-hub-files.ts";
import { identifyFiles } from "../keep/identify-file.ts";
import { listAt } from "../find/list-at.ts";
import type { HubFile } from "../find/list-model.ts";
import { readModelLock } from "../find/model-lock.ts";
import { sumMissing, type PullPlan } from "./pull-plan.ts";
import { selectFiles } from "../find/select-files.ts";

interface PlanOptions extends FindOptions, HubAccess {
  readonly update?: boolean;
}

/**
 * Plans the pull of a Hub model. It asks the Hub only when the model is not complete on disk, or for an update.
 * @throws LlmctlError as `planPull`.
 */
export async function planHubPull(ref: HubModelRef, options: PlanOptions): Promise<PullPlan> {
  const lock = options.lockFolder === undefined ? undefined : await readModelLock(options.lockFolder, ref);
  const found = await searchModel(ref, options);
  if ("files" in found && options.update !== true) return { kind: "complete", files: found.files };
  if (options.hub.offline)
    throw "files" in found ? updateOfflineError(ref) : offlineError(describeRef(ref), options.at);
  const { commit, files } = await listAt(options.update === true ? undefined : lock?.commit, ref, options);
  const byName = new Map(files.map((file) => [file.name, file]));
  const wanted = selectFiles([...byName.keys()], ref, options.at).flatMap((name) => byName.get(name) ?? []);
  if ("files" in found && isSameModel(wanted, (lock ?? (await identifyFiles(found.files)))?.files))
    return { kind: "complete", files: found.files };
  const repo = repoFolder(options.hubCache, ref.hf);
  const planned = await Promise.all(
    wanted.map(async (file) => ({ ...file, haveBytes: await measureHave(blobPath(repo, file.digest), file) })),
  );
  return {
    kind: "fetch",
    commit,
    files: planned,
    missingBytes: sumMissing(planned),
    store: hubStore(options.hubCache),
  };
}

/** The model is on disk, but offline nobody can tell whether there is a newer one. */
export function updateOfflineError(ref: RemoteModelRef): LlmctlError {
  return new LlmctlError("hub-offline", `HF_HUB_OFFLINE forbids looking for a newer version of ${describeRef(ref)}`, {
    exit: "unavailable",
    fix: "unset HF_HUB_OFFLINE",
  });
}

/** Whether the model has the same files in two commits, which may differ in others, such as a README. */
function isSameModel(listed: readonly HubFile[], known: readonly HubFile[] | undefined): boolean {
  return (
    listed.length === known?.length &&
    listed.every(({ name, digest }, i) => known[i]?.name === name && known[i].digest === digest)
  );
}
