import { basename } from "node:path";
import { describeRef } from "../../hub/find/describe-ref.ts";
import type { HubAccess } from "../../hub/http/hub-access.ts";
import { readActiveWeights } from "../../gguf/active-weights.ts";
import type { GgufModel } from "../../gguf/read-model.ts";
import { LlmctlError } from "../../base/errors.ts";
import { offeredDraftingTypes } from "../../llama/draft/offered-types.ts";
import type { PlanSession } from "../../llama/plan/plan-session.ts";
import { judgeProfile } from "../../models/judge-pair.ts";
import { findDraftingType, needsDraftModel, splitDraftingTypes } from "../../profiles/rules/drafting-types.ts";
import type { ModelRef, Profile } from "../../profiles/schema/schema.ts";
import { draft } from "../../profiles/schema/schema-draft.ts";
import { upperBound } from "../predict/size-bound.ts";
import type { Candidate, RejectedCandidate } from "./candidate.ts";

export interface CandidateOptions {
  readonly session: PlanSession;
  /** Drafts beyond the profile's own. */
  readonly drafts: readonly ModelRef[];
  readonly access: HubAccess;
  /** Of a server of the profile: its variables decide which devices there are. */
  readonly env: Readonly<Record<string, string>>;
  /** Whether a draft of the build evaluates every checked batch again. */
  readonly reevaluates: boolean;
}

export interface Candidates {
  readonly left: readonly Candidate[];
  readonly rejected: readonly RejectedCandidate[];
}

/** What cannot gain more than this is not worth a load. */
const leastBound = 1.02;

/**
 * Every way of drafting that the build offers for this target, judged by headers alone: nothing is fetched or loaded.
 * @throws LlmctlError where the build or the target cannot be read.
 */
export async function listCandidates(profile: Profile, options: CandidateOptions): Promise<Candidates> {
  const { session, env } = options;
  const build = await session.findBuild(profile, "llama-server", env);
  const offered = offeredDraftingTypes(build.catalogue);
  const devices = (await session.listDevices(build.file, env)).map(({ name }) => name);
  const possible = placeDrafts(propose(profile, offered, options.drafts), devices);
  const left: Candidate[] = [];
  const rejected: RejectedCandidate[] = [];
  for (const proposal of possible) {
    const judged = await judge(proposal, profile, options);
    if (judged.thrownOut === undefined) left.push(judged);
    else rejected.push({ ...judged, thrownOut: judged.thrownOut });
  }
  return { left, rejected };
}

type Proposal = Omit<Candidate, "bestPossible" | "costShare">;

/** The profile's own draft first. */
function propose({ values }: Profile, offered: readonly string[], drafts: readonly ModelRef[]): Proposal[] {
  const own = values.draft;
  const { n_max: _max, n_min: _min, p_min: _p, ...kept } = own ?? draft.parse({});
  const ownType = splitDraftingTypes(own?.type ?? "").find((type) => needsDraftModel(type));
  const models = [...(own?.model === undefined ? [] : [own.model]), ...drafts];
  const withModel = models.map((model): Proposal => {
    const type = model === own?.model ? (ownType ?? "draft-simple") : "draft-simple";
    const label = models.length === 1 ? type : `${type} with ${nameModel(model)}`;
    return {
      label,
      source: findDraftingType(type)?.source === "head" ? "head" : "model",
      draft: { ...kept, type, model },
    };
  });
  const without = offered.flatMap((type): Proposal[] => {
    const source = findDraftingType(type)?.source;
    if (source !== "nextn" && source !== "ngram") return [];
    return [{ label: type, source, draft: { type, on_mismatch: kept.on_mismatch, on_loss: kept.on_loss } }];
  });
  return [...withModel, ...without];
}

/** Where there are several devices, a draft model may live on each: only its costs differ. */
export function placeDrafts(proposals: readonly Proposal[], devices: readonly string[]): Proposal[] {
  return proposals.flatMap((proposal) => {
    const { label, source, draft: values } = proposal;
    const isFixed = values.devices !== undefined || values.gpu_layers === 0;
    if (source !== "model" || isFixed || devices.length < 2) return [proposal];
    return devices.map((device, index): Proposal => {
      const placed = { label: `${label} on ${device}`, source, draft: { ...values, devices: [device] } };
      return index === 0 ? placed : { ...placed, proposesAs: `${label} on ${devices[0]}` };
    });
  });
}

function nameModel(ref: ModelRef): string {
  return typeof ref === "string" ? basename(ref) : describeRef(ref);
}

async function judge(
  proposal: Proposal,
  profile: Profile,
  { session, access, reevaluates }: CandidateOptions,
): Promise<Candidate & Partial<RejectedCandidate>> {
  const { source } = proposal;
  const unknown = { bestPossible: null, costShare: null };
  if (source === "ngram") return { ...proposal, ...unknown };
  try {
    const drafting = { ...profile, values: { ...profile.values, draft: proposal.draft } };
    const judgement = await judgeProfile(drafting, access, session);
    if (judgement === undefined) throw new Error("a candidate without a draft");
    const { verdict, target, draft } = judgement;
    if (verdict.verdict !== "on") return { ...proposal, ...unknown, thrownOut: verdict.reason };
    const share = costShare(target.model, draft?.model);
    if (share === undefined) return { ...proposal, ...unknown };
    const bestPossible = upperBound(share, { reevaluates: reevaluates && source !== "nextn" });
    if (bestPossible >= leastBound) return { ...proposal, bestPossible, costShare: share };
    return {
      ...proposal,
      bestPossible,
      costShare: share,
      thrownOut: `even at 95 % acceptance it could reach ${bestPossible.toFixed(2)} ×`,
    };
  } catch (error) {
    if (!(error instanceof LlmctlError)) throw error;
    return { ...proposal, ...unknown, thrownOut: error.message, isUnjudged: true };
  }
}

/** What a token costs the draft as a share of what it costs the target, by the bytes that are read for it. */
function costShare(target: GgufModel, draft: GgufModel | undefined): number | undefined {
  const ofTarget = readActiveWeights(target);
  const drafting = draft === undefined ? ofTarget.nextn : readActiveWeights(draft).token;
  if (drafting === undefined || drafting.bytes === 0 || ofTarget.token.bytes === 0) return undefined;
  return drafting.bytes / ofTarget.token.bytes;
}
