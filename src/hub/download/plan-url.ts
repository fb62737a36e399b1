import { LlmctlError } from "../../base/errors.ts";
import { formatSize } from "../../base/text/units.ts";
import type { UrlModelRef } from "../../profiles/schema/schema.ts";
import { describeRef, describeUrl } from "../find/describe-ref.ts";
import { fileSize, measurePart } from "./fetch-files.ts";
import { urlStore } from "./fetch-url.ts";
import { searchModel, type FindOptions } from "../find/find-model.ts";
import { connectWithoutToken, offlineError, retryRule, type HubAccess } from "../http/hub-access.ts";
import { readModelLock, type ModelLock } from "../find/model-lock.ts";
import { updateOfflineError } from "./plan-hub.ts";
import { probeUrl, type ProbedFile } from "../find/probe-url.ts";
import { pullFix } from "../find/pull-fix.ts";
import { sumMissing, type PlannedUrlFile, type PullPlan } from "./pull-plan.ts";
import { listUrlFiles, type UrlFile } from "../find/url-files.ts";
import { findVerified } from "../keep/verified-files.ts";

interface PlanOptions extends FindOptions, HubAccess {
  readonly update?: boolean;
}

/**
 * Plans the pull of a model at an address. It asks the server only when the model is not complete on disk, or for an
 * update. A model whose digest is in the profile has no updates.
 * @throws LlmctlError `hub-offline`, `url-changed`, or as {@link listUrlFiles} and {@link probeUrl}.
 */
export async function planUrlPull(ref: UrlModelRef, options: PlanOptions): Promise<PullPlan> {
  const found = await searchModel(ref, options);
  const update = options.update === true && ref.sha256 === undefined;
  if ("files" in found && !update) return { kind: "complete", files: found.files };
  if (options.hub.offline)
    throw "files" in found ? updateOfflineError(ref) : offlineError(describeRef(ref), options.at);
  const asking = { connection: connectWithoutToken(options), retries: retryRule(options), at: options.at };
  const probed = await Promise.all(
    listUrlFiles(ref, options).map(async (file) => ({ ...file, ...(await probeUrl(file.url, asking)) })),
  );
  const lock = options.lockFolder === undefined ? undefined : await readModelLock(options.lockFolder, ref);
  if ("files" in found && probed.every((file, i) => isSame(file, lock?.files[i])))
    return { kind: "complete", files: found.files };
  const files = await Promise.all(probed.map((file, i) => planFile(file, lock?.files[i], { ...options, update })));
  return { kind: "fetch", files, missingBytes: sumMissing(files), store: urlStore(options.urlFolder) };
}

type Locked = ModelLock["files"][number];

/** Without a version from the server, only the size can tell a change. */
function isSame({ sizeBytes, version }: ProbedFile, locked: Locked | undefined): boolean {
  return locked !== undefined && locked.sizeBytes === sizeBytes && locked.version === version;
}

async function planFile(
  file: UrlFile & ProbedFile,
  locked: Locked | undefined,
  options: PlanOptions,
): Promise<PlannedUrlFile> {
  const isStale = options.update === true && !isSame(file, locked);
  const fromLock = options.update === true ? undefined : locked?.digest;
  const digest = file.digest ?? fromLock;
  const digestOf = file.digest !== undefined ? "profile" : fromLock === undefined ? undefined : "lock";
  if (digestOf === "lock" && locked?.sizeBytes !== file.sizeBytes) throw changedError(file, locked, options);
  const isHere =
    !isStale && (await fileSize(file.path)) === file.sizeBytes && (await canBe(digest, file.path, options));
  const haveBytes = isHere ? file.sizeBytes : await measurePart(file.path, file.sizeBytes);
  return { ...file, digest, digestOf, isStale, haveBytes };
}

/** False when the file is known to have another digest. */
async function canBe(digest: string | undefined, path: string, { lockFolder }: PlanOptions): Promise<boolean> {
  if (digest === undefined || lockFolder === undefined) return true;
  return ((await findVerified(lockFolder, path))?.digest ?? digest) === digest;
}

function changedError(
  { url, sizeBytes }: UrlFile & ProbedFile,
  locked: Locked | undefined,
  { profile, at }: PlanOptions,
): LlmctlError {
  const before =
    locked === undefined ? "" : `: it had ${formatSize(locked.sizeBytes)} then and has ${formatSize(sizeBytes)} now`;
  return new LlmctlError("url-changed", `${describeUrl(url)} has changed since it was first fetched${before}`, {
    exit: "missingFile",
    ...(at === undefined ? {} : { at }),
    fix: pullFix(profile, { update: true, after: "to accept the new content" }),
  });
}
