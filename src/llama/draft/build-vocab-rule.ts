import { LlmctlError } from "../../base/errors.ts";
import type { Paths } from "../../base/files/paths.ts";
import type { ProfileValues } from "../../profiles/schema/schema.ts";
import { checkBinary } from "../ask/check-binary.ts";
import { findServer } from "../ask/builds.ts";
import { childEnvironment } from "../ask/child-env.ts";
import { readFlagCatalogue } from "../ask/flag-catalogue.ts";

/**
 * What a build does with a draft whose vocabulary does not match:
 * - `strict`: logs an error and serves without drafting (b9842 and newer)
 * - `translate`: drafts through text, at an acceptance near zero (b6431 to b8390)
 * - `refuse`: does not start (b5640 and older)
 */
export type VocabRule = "strict" | "translate" | "refuse";

/**
 * The rule of a build, from the flags its `--help` lists; version numbers of bundles and shallow clones are not to be
 * trusted. `--spec-replace` came and went with the translation; `--spec-draft-n-max` is what later builds call
 * `--draft-max`.
 */
export function vocabRuleFromFlags(hasFlag: (flag: string) => boolean): VocabRule {
  if (hasFlag("--spec-replace")) return "translate";
  return hasFlag("--spec-draft-n-max") ? "strict" : "refuse";
}

/** How a pair of models is to be judged. */
export interface BuildVocabRule {
  readonly rule: VocabRule;
  /** The build whose rule it is; undefined where none can be asked. */
  readonly build: string | undefined;
  /** Why none can be asked. */
  readonly problem: string | undefined;
}

interface BuildRuleOptions {
  readonly llama: ProfileValues["llama"];
  /** Where the profile names the build. */
  readonly at: string;
  readonly paths: Paths;
  readonly env: NodeJS.ProcessEnv;
}

/** The rule of the installed build; where there is none that works, that of the builds that are current. */
export async function findBuildVocabRule({ llama, at, paths, env }: BuildRuleOptions): Promise<BuildVocabRule> {
  try {
    const { server, label } = await findServer(llama, paths.data, at);
    await checkBinary(server, at);
    const catalogue = await readFlagCatalogue(server, {
      cacheDir: paths.cache,
      env: childEnvironment(env, {}, () => at),
    });
    return {
      rule: vocabRuleFromFlags((flag) => catalogue.has(flag)),
      build: `${label}: ${catalogue.version}`,
      problem: undefined,
    };
  } catch (error) {
    if (!(error instanceof LlmctlError)) throw error;
    return { rule: "strict", build: undefined, problem: error.message };
  }
}
