import type { Paths } from "../../base/files/paths.ts";
import { printableSentence } from "../../base/text/printable.ts";
import { formatDuration, formatSize } from "../../base/text/units.ts";
import { findOptions } from "../../hub/find/find-model.ts";
import type { NetworkTraffic } from "../../hub/http/http-source.ts";
import type { HubAccess } from "../../hub/http/hub-access.ts";
import { readHubSettings } from "../../hub/http/hub-settings.ts";
import {
  readModelHeaders,
  type HeaderOptions,
  type ModelHeaders,
  type ModelPlace,
} from "../../hub/find/read-model-headers.ts";
import { findBuildRule, type BuildRule } from "../../llama/draft/build-vocab-rule.ts";
import { decideDraft, type DraftVerdict } from "../../llama/draft/draft-gate.ts";
import { judgeDraft } from "../../llama/plan/draft-decision.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import { targetModel } from "../../profiles/target.ts";
import { paint } from "../screen/paint.ts";

/** What the headers of two models say about drafting with them. */
export interface Judgement {
  readonly target: ModelHeaders;
  readonly draft: ModelHeaders | undefined;
  readonly type: string;
  readonly build: BuildRule;
  readonly verdict: DraftVerdict;
}

/** For a command that reads headers only: Ctrl-C ends the process, and retries are told on stderr. */
export function createHubAccess(): HubAccess {
  return {
    hub: readHubSettings(process.env),
    signal: new AbortController().signal,
    onProgress: ({ reason, delayMs }) => {
      process.stderr.write(
        `${paint("yellow", `${printableSentence(reason)}; trying again in ${formatDuration(delayMs)}`)}\n`,
      );
    },
  };
}

/** For a model that no profile names. */
export function withoutProfile(access: HubAccess, paths: Paths): HeaderOptions {
  return { ...access, hubCache: paths.hub, llamaCache: paths.llamaCache, modelDirs: [], profile: undefined };
}

/** What came over the network: `9.1 MB of headers in 4 requests`. */
export function formatTraffic({ bytesRead, requests }: Readonly<NetworkTraffic>): string {
  return `${formatSize(bytesRead)} of headers in ${requests === 1 ? "1 request" : `${requests} requests`}`;
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
  paths: Paths,
): Promise<Judgement> {
  const build = await findBuildRule({ llama: {}, at: "installed builds", paths, env: process.env });
  const models = { target: await readModelHeaders(target, options), draft: await readModelHeaders(draft, options) };
  const verdict = decideDraft({ target: models.target.model, draft: models.draft.model, type, rule: build.rule });
  return { ...models, type, build, verdict };
}

/**
 * Judges a profile's two models by their headers, wherever they are; undefined when the profile asks for no drafting.
 */
export async function judgeProfile(profile: Profile, access: HubAccess, paths: Paths): Promise<Judgement | undefined> {
  const { values } = profile;
  const targetRef = targetModel(profile);
  if (values.draft === undefined) return undefined;
  const { type, model } = values.draft;
  const options = { ...access, ...findOptions(profile, paths) };
  const build = await findBuildRule({ llama: values.llama, at: profile.at("llama"), paths, env: process.env });
  const target = await readModelHeaders(targetRef, { ...options, at: profile.at("model") });
  const draft =
    model === undefined ? undefined : await readModelHeaders(model, { ...options, at: profile.at("draft", "model") });
  const verdict = judgeDraft(profile, { target: target.model, draft: draft?.model, rule: build.rule });
  return { target, draft, type, build, verdict };
}
