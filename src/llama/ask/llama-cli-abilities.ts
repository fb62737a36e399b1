import type { Paths } from "../../base/files/paths.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import { checkBinary } from "./check-binary.ts";
import { findServer } from "./builds.ts";
import { childEnvironment } from "./child-env.ts";
import { readFlagCatalogue } from "./flag-catalogue.ts";

/** The features of a build's llama-cli that not every build has. */
export interface LlamaCliAbilities {
  /** It can use a draft model: since the rewrite of December 2025. */
  readonly drafts: boolean;
  /** It can chat with a running server (`--server-base`): since summer 2026. */
  readonly connects: boolean;
}

/**
 * Asks the llama-cli of the profile's build. A missing one has no features here; the caller that runs it reports it.
 * @throws LlmctlError as `planCli`.
 */
export async function askLlamaCli(
  profile: Profile,
  { paths, env }: { paths: Paths; env: NodeJS.ProcessEnv },
): Promise<LlamaCliAbilities> {
  const at = profile.at("llama");
  const { cli } = await findServer(profile.values.llama, paths.data, at);
  if (cli === undefined) return { drafts: false, connects: false };
  await checkBinary(cli, at);
  const childEnv = childEnvironment(env, profile.values.env, (name) => profile.at("env", name));
  const catalogue = await readFlagCatalogue(cli, { cacheDir: paths.cache, env: childEnv });
  return {
    drafts: catalogue.findFirst(["--spec-draft-model", "--model-draft"]) !== undefined,
    connects: catalogue.has("--server-base"),
  };
}
