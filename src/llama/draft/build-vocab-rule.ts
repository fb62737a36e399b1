import { LlmctlError } from "../../base/errors.ts";
import type { Paths } from "../../base/files/paths.ts";
import type { ProfileValues } from "../../profiles/schema/schema.ts";
import { askBuild, describeBuild } from "../ask/asked-build.ts";
import { childEnvironment } from "../ask/child-env.ts";

/**
 * What a build does with a draft whose vocabulary does not match:
 * - `strict`: logs an error and serves without drafting (b9842 and newer)
 * - `translate`: drafts through text, at an acceptance near zero (b6431 to b8390)
 * - `refuse`: does not start (b5640 and older)
 */
export type VocabRule = "strict" | "translate" | "refuse";

/**
 * The rule of a build, from the flags in its `--help`, since version numbers of bundles and shallow clones may be
 * wrong. Exactly the builds that translate have `--spec-replace`. `--spec-draft-n-max` is the name that later builds
 * give to `--draft-max`.
 */
export function vocabRuleFromFlags(hasFlag: (flag: string) => boolean): VocabRule {
  if (hasFlag("--spec-replace")) return "translate";
  return hasFlag("--spec-draft-n-max") ? "strict" : "refuse";
}

/** The rule for judging a pair of models, and the build that it comes from. */
export interface BuildVocabRule {
  readonly rule: VocabRule;
  /** The build with this rule; undefined when no build could be asked. */
  readonly build: string | undefined;
  /** Why no build could be asked. */
  readonly problem: string | undefined;
}

interface BuildRuleOptions {
  readonly llama: ProfileValues["llama"];
  /** The place of the key `llama` in the profile. */
  readonly at: string;
  readonly paths: Paths;
  readonly env: NodeJS.ProcessEnv;
}

/** The rule of the profile's build; when it is missing or does not run, the rule of current llama.cpp. */
export async function findBuildVocabRule({ llama, at, paths, env }: BuildRuleOptions): Promise<BuildVocabRule> {
  try {
    const childEnv = childEnvironment(env, {}, () => at);
    const asked = await askBuild({ llama, at, program: "llama-server", paths, env: childEnv });
    const rule = vocabRuleFromFlags((flag) => asked.catalogue.has(flag));
    return { rule, build: describeBuild(asked), problem: undefined };
  } catch (error) {
    if (!(error instanceof LlmctlError)) throw error;
    return { rule: "strict", build: undefined, problem: error.message };
  }
}
