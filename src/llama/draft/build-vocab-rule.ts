import { LlmctlError } from "../../base/errors.ts";
import type { Paths } from "../../base/files/paths.ts";
import type { ProfileValues } from "../../profiles/schema/schema.ts";
import { checkBinary } from "../ask/check-binary.ts";
import { findServer } from "../ask/builds.ts";
import { childEnvironment } from "../ask/child-env.ts";
import { readFlagCatalogue } from "../ask/flag-catalogue.ts";
import { vocabRuleFromFlags, type VocabRule } from "./vocab-rule.ts";

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
