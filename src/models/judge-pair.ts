import type { Paths } from "../base/files/paths.ts";
import { findOptions } from "../hub/find/find-model.ts";
import type { HubAccess } from "../hub/http/hub-access.ts";
import {
  readModelHeaders,
  type HeaderOptions,
  type ModelHeaders,
  type ModelPlace,
} from "../hub/find/read-model-headers.ts";
import { findBuildVocabRule, type BuildVocabRule } from "../llama/draft/build-vocab-rule.ts";
import { decideDraft, type DraftVerdict } from "../llama/draft/draft-gate.ts";
import { judgeDraft } from "../llama/plan/draft-decision.ts";
import type { Profile } from "../profiles/schema/schema.ts";
import { targetModel } from "../profiles/target.ts";

/** Whether a draft may speed up a target, and everything that the verdict was made from. */
export interface Judgement {
  readonly target: ModelHeaders;
  /** Undefined for a drafting type that needs no draft model. */
  readonly draft: ModelHeaders | undefined;
  /** The drafting type, in llama.cpp's words. */
  readonly type: string;
  readonly build: BuildVocabRule;
  readonly verdict: DraftVerdict;
}

export interface JudgeOptions {
  readonly paths: Paths;
  /** In which a build of llama.cpp is asked for its flags. */
  readonly env: NodeJS.ProcessEnv;
}

interface ModelPair {
  readonly target: ModelPlace;
  readonly draft: ModelPlace;
  readonly type: string;
}

/** Judges any two models by their headers, on disk or on a server. @throws LlmctlError as {@link readModelHeaders}. */
export async function judgePair(
  { target, draft, type }: ModelPair,
  options: HeaderOptions,
  judging: JudgeOptions,
): Promise<Judgement> {
  const build = await findBuildVocabRule({ llama: {}, at: "installed builds", ...judging });
  const models = { target: await readModelHeaders(target, options), draft: await readModelHeaders(draft, options) };
  const verdict = decideDraft({ target: models.target.model, draft: models.draft.model, type, rule: build.rule });
  return { ...models, type, build, verdict };
}

/**
 * Judges a profile's two models by their headers, on disk or on a server.
 * @returns undefined when the profile asks for no drafting.
 * @throws LlmctlError as {@link readModelHeaders}.
 */
export async function judgeProfile(
  profile: Profile,
  access: HubAccess,
  judging: JudgeOptions,
): Promise<Judgement | undefined> {
  const { values } = profile;
  const targetRef = targetModel(profile);
  if (values.draft === undefined) return undefined;
  const { type, model } = values.draft;
  const options = { ...access, ...findOptions(profile, judging.paths) };
  const build = await findBuildVocabRule({ llama: values.llama, at: profile.at("llama"), ...judging });
  const target = await readModelHeaders(targetRef, { ...options, at: profile.at("model") });
  const draft =
    model === undefined ? undefined : await readModelHeaders(model, { ...options, at: profile.at("draft", "model") });
  const verdict = judgeDraft(profile, { target: target.model, draft: draft?.model, rule: build.rule });
  return { target, draft, type, build, verdict };
}
