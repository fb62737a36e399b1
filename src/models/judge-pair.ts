import type { Paths } from "../base/files/paths.ts";
import { findOptions } from "../hub/find/find-model.ts";
import type { HubAccess } from "../hub/http/hub-access.ts";
import {
  readModelHeaders,
  type HeaderOptions,
  type ModelHeaders,
  type ModelPlace,
} from "../hub/find/read-model-headers.ts";
import { findBuildRule, type BuildRule } from "../llama/draft/build-vocab-rule.ts";
import { decideDraft, type DraftVerdict } from "../llama/draft/draft-gate.ts";
import type { Profile } from "../profiles/schema/schema.ts";
import { targetModel } from "../profiles/target.ts";

/** What the headers of two models say about drafting with them. */
export interface Judgement {
  readonly target: ModelHeaders;
  readonly draft: ModelHeaders | undefined;
  readonly type: string;
  readonly build: BuildRule;
  readonly verdict: DraftVerdict;
}

interface NamedPair {
  readonly target: ModelPlace;
  readonly draft: ModelPlace;
  readonly type: string;
}

/** Judges any two models by their headers, wherever they are. @throws LlmctlError as {@link readModelHeaders} */
export async function judgePair(
  { target, draft, type }: NamedPair,
  options: HeaderOptions,
  place: { readonly paths: Paths; readonly env: NodeJS.ProcessEnv },
): Promise<Judgement> {
  const build = await findBuildRule({ llama: {}, at: "installed builds", ...place });
  const models = { target: await readModelHeaders(target, options), draft: await readModelHeaders(draft, options) };
  const verdict = decideDraft({ target: models.target.model, draft: models.draft.model, type, rule: build.rule });
  return { ...models, type, build, verdict };
}

/**
 * Judges a profile's two models by their headers, wherever they are; undefined when the profile asks for no drafting.
 */
export async function judgeProfile(
  profile: Profile,
  access: HubAccess,
  place: { readonly paths: Paths; readonly env: NodeJS.ProcessEnv },
): Promise<Judgement | undefined> {
  const { values } = profile;
  const targetRef = targetModel(profile);
  if (values.draft === undefined) return undefined;
  const { type, model } = values.draft;
  const options = { ...access, ...findOptions(profile, place.paths) };
  const build = await findBuildRule({ llama: values.llama, at: profile.at("llama"), ...place });
  const target = await readModelHeaders(targetRef, { ...options, at: profile.at("model") });
  const draft =
    model === undefined ? undefined : await readModelHeaders(model, { ...options, at: profile.at("draft", "model") });
  const question = { target: target.model, draft: draft?.model, type, rule: build.rule, ctxSize: values.ctx_size };
  return { target, draft, type, build, verdict: decideDraft(question) };
}
