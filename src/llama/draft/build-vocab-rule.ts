import { LlmctlError } from "../../base/errors.ts";
import type { Paths } from "../../base/files/paths.ts";
import type { ProfileValues } from "../../profiles/schema/schema.ts";
import { askBuild, describeBuild } from "../ask/asked-build.ts";
import { childEnvironment } from "../ask/child-env.ts";
import { vocabRule, type VocabRule } from "./vocab-rule.ts";

/** How a pair of models is to be judged. */
export interface BuildRule {
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
export async function findBuildRule({ llama, at, paths, env }: BuildRuleOptions): Promise<BuildRule> {
  try {
    const childEnv = childEnvironment(env, {}, () => at);
    const asked = await askBuild({ llama, at, program: "llama-server", paths, env: childEnv });
    const rule = vocabRule((flag) => asked.catalogue.has(flag));
    return { rule, build: describeBuild(asked), problem: undefined };
  } catch (error) {
    if (!(error instanceof LlmctlError)) throw error;
    return { rule: "strict", build: undefined, problem: error.message };
  }
}
