import { LlmctlError } from "../../base/errors.ts";
import type { ModelFiles } from "../../hub/find/model-files.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import type { WantedProof } from "../../supervisor/launch.ts";
import { decideDraft, type DraftQuestion, type DraftVerdict } from "../draft/draft-gate.ts";
import { findSkippedDraft } from "../draft/draft-skip-note.ts";
import type { VocabRule } from "../draft/build-vocab-rule.ts";
import type { ModelReader } from "./model-reader.ts";
import type { ProfileModel } from "./plan-session.ts";

/** Why a profile without a `draft` key does not draft. */
export const noDraftAsked = "the profile asks for none";

/** Whether a profile's server is to draft, and with which files. */
export interface DraftDecision {
  readonly drafting: WantedProof;
  /** Of the draft model; undefined where none is loaded. */
  readonly path?: string;
  readonly files: ModelFiles["shards"];
  readonly warnings: readonly string[];
}

interface DecideOptions {
  readonly target: ProfileModel;
  readonly models: Pick<ModelReader, "read" | "lacks">;
  readonly rule: VocabRule;
  readonly cacheDir: string;
}

/**
 * Reads the headers of the draft model and decides by them.
 * @throws LlmctlError `draft-mismatch` where the profile does not want to serve without drafting, and what `models`
 *   throws.
 */
export async function decideDrafting(profile: Profile, options: DecideOptions): Promise<DraftDecision> {
  const { draft } = profile.values;
  if (draft === undefined) return withoutDraft(noDraftAsked);
  const skipped = await findSkipReason(profile, options);
  if (skipped !== undefined) return withoutDraft(skipped);
  const { target, models, rule } = options;
  const found = draft.model === undefined ? undefined : await models.read(["draft", "model"], draft.model);
  const accepted: DraftDecision = {
    drafting: { wanted: true, onFailure: draft.on_mismatch === "fail" ? "fail" : "serve" },
    ...(found === undefined ? {} : { path: found.path }),
    files: found?.files ?? [],
    warnings: [],
  };
  if (target.model === undefined || (found !== undefined && found.model === undefined)) return accepted;
  const verdict = judgeDraft(profile, { target: target.model, draft: found?.model, rule });
  const reason = findDraftingOff(profile, verdict);
  return { ...(reason === undefined ? accepted : withoutDraft(reason)), warnings: verdict.warnings };
}

function withoutDraft(reason: string): DraftDecision {
  return { drafting: { wanted: false, reason }, files: [], warnings: [] };
}

/** Why the last pull did not fetch the draft model; undefined where it did, or the model is here all the same. */
async function findSkipReason(
  { values: { draft } }: Profile,
  { target, models, rule, cacheDir }: DecideOptions,
): Promise<string | undefined> {
  if (draft?.model === undefined || typeof draft.model === "string" || draft.on_mismatch !== "disable")
    return undefined;
  const pair = { targetFiles: target.files, draft: draft.model, type: draft.type, rule };
  const reason = await findSkippedDraft(cacheDir, pair);
  return reason !== undefined && (await models.lacks(draft.model)) ? reason : undefined;
}

/** The draft gate's verdict about the models of a profile, wherever their headers were read. */
export function judgeDraft(
  { values: { draft, ctx_size: ctxSize } }: Profile,
  models: Pick<DraftQuestion, "target" | "draft" | "rule">,
): DraftVerdict {
  return decideDraft({ ...models, type: draft?.type ?? "none", ctxSize });
}

/**
 * Why a profile is to be served without drafting; undefined where the gate lets it draft.
 * @throws LlmctlError `draft-mismatch` for a profile with `on_mismatch: fail`.
 */
export function findDraftingOff(profile: Profile, verdict: DraftVerdict): string | undefined {
  if (verdict.verdict === "on") return undefined;
  const { reason, fix } = verdict;
  if (profile.values.draft?.on_mismatch !== "fail") return reason;
  throw new LlmctlError("draft-mismatch", `the draft cannot speed up this target: ${reason}`, {
    exit: "config",
    at: profile.at("draft", "model"),
    fix,
  });
}
