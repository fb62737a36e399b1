import { LlmctlError } from "../base/errors.ts";
import type { Paths } from "../base/files/paths.ts";
import { maskAddress } from "../base/text/secrets.ts";
import { modelLockFolder, writeModelLock, type ModelLock } from "../hub/find/model-lock.ts";
import { readHubSettings } from "../hub/http/hub-settings.ts";
import { askIdentity } from "../hub/keep/ask-identity.ts";
import { expectFiles, findKnown } from "../hub/keep/verify-model.ts";
import type { LoadOptions } from "../profiles/load.ts";
import { readAllProfiles } from "./all-profiles.ts";
import type { OnModelEvent, VerifyResult } from "./model-event.ts";
import { labelOnDisk, listModelsOnDisk, sizeOnDisk, type ModelOnDisk } from "./models-on-disk.ts";
import { verifyContent } from "./verify-content.ts";

export interface VerifyModelsOptions {
  readonly paths: Paths;
  /** Where profiles are looked up. */
  readonly load: LoadOptions;
  /** Names the Hub's address and token. */
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  readonly onEvent: OnModelEvent;
}

/**
 * Reads models again and compares their content with their digests.
 * @param names Of profiles, or models as `OWNER/REPO`, `OWNER/REPO:QUANT` or an address; without names every model.
 * @returns whether no model is damaged.
 * @throws LlmctlError `model-unknown`, `interrupted`, or as {@link askIdentity}.
 */
export async function verifyModels(names: readonly string[], options: VerifyModelsOptions): Promise<boolean> {
  const { profiles } = await readAllProfiles(options.paths, options.load);
  const models = selectModels(await listModelsOnDisk(profiles, options.paths), names);
  let isRight = true;
  for (const model of models) {
    const result = await verifyOne(model, options);
    options.onEvent({ kind: "verify-result", model: labelOnDisk(model), sizeBytes: sizeOnDisk(model), ...result });
    isRight &&= result.outcome !== "damaged";
  }
  return isRight;
}

function selectModels(models: readonly ModelOnDisk[], names: readonly string[]): readonly ModelOnDisk[] {
  if (names.length === 0) return models;
  return names.flatMap((name) => {
    const found = models.filter((model) => model.profiles.includes(name) || isNamed(model, name));
    if (found.length > 0) return found;
    throw new LlmctlError("model-unknown", `no model of "${maskAddress(name)}" is here`, {
      exit: "missingFile",
      fix: { before: "see", run: ["models"], after: "for what is here" },
    });
  });
}

function isNamed({ hf, url = "", quant }: ModelOnDisk, name: string): boolean {
  return hf === undefined ? maskAddress(name) === maskAddress(url) : name === hf || name === `${hf}:${quant}`;
}

async function verifyOne(
  model: ModelOnDisk,
  options: VerifyModelsOptions,
): Promise<Pick<VerifyResult, "outcome" | "problems">> {
  const { paths, signal, onEvent } = options;
  const lockFolder = modelLockFolder(paths.state);
  const lock = await findLock(model, options);
  const expected = await expectFiles(model, lock);
  if (expected === undefined) return { outcome: "unknown", problems: [] };
  const files = expected.map((file) => ({ ...file, profile: model.profiles[0] }));
  try {
    await verifyContent(files, { lockFolder, signal, onEvent, again: true });
  } catch (error) {
    if (signal.aborted || !(error instanceof LlmctlError)) throw error;
    return { outcome: "damaged", problems: error.problems };
  }
  if (model.ref !== undefined && lock !== undefined) await writeModelLock(lockFolder, model.ref, lock);
  return { outcome: "right", problems: [] };
}

/** What the profile's reference is locked to. If nothing on disk tells what the files are, the Hub is asked. */
async function findLock(model: ModelOnDisk, options: VerifyModelsOptions): Promise<ModelLock | undefined> {
  const { ref } = model;
  if (ref === undefined) return undefined;
  const { paths, env, signal, onEvent } = options;
  const known = await findKnown(ref, model, modelLockFolder(paths.state));
  const hub = readHubSettings(env);
  if (known !== undefined || hub.offline || "url" in ref) return known;
  return askIdentity(ref, model, { hub, signal, onProgress: (event) => onEvent({ ...event, model: "" }) });
}
