import type { Problem } from "../../base/errors.ts";
import { readContextLength } from "../../gguf/model-facts.ts";
import type { GgufModel } from "../../gguf/read-model.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import { findPriorityProblem, readPriorityRights } from "../ask/priority-rights.ts";
import type { RenderedFlag } from "../render/flag-rule.ts";

/** A limit that the profile exceeds, and that llama.cpp itself only logs. */
export interface ExceededLimit extends Problem {
  readonly code: "context-beyond-training" | "priority-not-permitted";
}

interface LimitOptions {
  /** Undefined where the file is not on this machine. */
  readonly target: GgufModel | undefined;
  readonly flags: readonly RenderedFlag[];
  readonly readRights?: typeof readPriorityRights;
}

/** The limits for which the server would run, but not as the profile wants it. */
export function findExceededLimits(
  profile: Profile,
  { target, flags, readRights = readPriorityRights }: LimitOptions,
): ExceededLimit[] {
  return [...contextLimit(profile, target, flags), ...priorityLimit(profile, readRights)];
}

/** Flags that stretch a model's context. */
const stretching = /^--(?:rope|yarn|override-kv)/;

function contextLimit(
  profile: Profile,
  target: GgufModel | undefined,
  flags: readonly RenderedFlag[],
): ExceededLimit[] {
  const { ctx_size: ctxSize = 0, parallel = 1 } = profile.values;
  const trained = target === undefined ? undefined : readContextLength(target);
  // Several slots share the context, each build in its own way: the limit is that of all slots together.
  if (
    trained === undefined ||
    ctxSize <= trained * parallel ||
    flags.some(({ args }) => stretching.test(args[0] ?? ""))
  )
    return [];
  const slots = parallel === 1 ? "" : ` for each of ${parallel} slots`;
  return [
    {
      code: "context-beyond-training",
      message:
        `ctx_size is ${ctxSize}, but the model was trained for ${trained} tokens: ` +
        `llama.cpp gives a request no more than that${slots}`,
      at: profile.at("ctx_size"),
      fix:
        `set ctx_size: ${trained * parallel}, ` +
        "or stretch the context with the rope flags that the model's makers name",
    },
  ];
}

function priorityLimit(profile: Profile, readRights: typeof readPriorityRights): ExceededLimit[] {
  const { priority } = profile.values;
  const rights = priority === undefined ? undefined : readRights();
  const problem = priority === undefined || rights === undefined ? undefined : findPriorityProblem(priority, rights);
  return problem === undefined ? [] : [{ code: "priority-not-permitted", ...problem, at: profile.at("priority") }];
}
