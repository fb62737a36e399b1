import { findPaths } from "../../src/base/files/paths.ts";
import { describeComputing } from "../../src/llama/ask/computing-machine.ts";
import { type KeptCosts, writeKeptCosts } from "../../src/llama/draft/kept-costs.ts";
import { planLaunch } from "../../src/llama/plan/plan-launch.ts";
import { profileFolders } from "../../src/profiles/find.ts";
import { loadProfile } from "../../src/profiles/load.ts";
import type { TempHome } from "./temp-home.ts";

/** Keeps costs for a profile, as if bench had measured this time a token without a draft. */
export async function keepCosts(
  home: TempHome,
  name: string,
  ms: number,
  more: Partial<KeptCosts> = {},
): Promise<void> {
  const env = { PATH: process.env["PATH"], HOME: home.path, LLMCTL_HOME: home.path };
  const paths = findPaths(env);
  const profile = await loadProfile(name, { folders: profileFolders({ paths, cwd: home.path }), env });
  const { costKeys } = await planLaunch(profile, { paths, env });
  if (costKeys === undefined) throw new Error(`"${name}" has no key for costs`);
  await writeKeptCosts(paths.data, {
    version: 1,
    key: costKeys.target,
    machine: (await describeComputing(async () => [])) ?? [],
    draftKey: costKeys.draft,
    measuredAt: new Date().toISOString(),
    build: "a build",
    source: "bench",
    stepMs: [{ contextTokens: 32, ms }],
    targetMs: null,
    draftMs: null,
    reevaluates: true,
    ...more,
  });
}
