import { splitDraftingTypes } from "../../profiles/rules/drafting-types.ts";
import type { Launch } from "../../supervisor/launch.ts";
import { describeBuild } from "../ask/asked-build.ts";
import { findCostKey, findDraftKey, pickStepCosts, readKeptCosts } from "../draft/kept-costs.ts";
import type { PreparedCommand } from "./prepare-command.ts";

/** Under which costs are kept. */
export interface CostKeys {
  /** Of the target model; the same with a draft and without one. */
  readonly target: string;
  /** Of the draft; null without one, and for n-grams, which cost nothing. */
  readonly draft: string | null;
}

interface LaunchCosts {
  readonly costKeys: CostKeys | undefined;
  /** Undefined where nothing was measured, and for a server that does not draft. */
  readonly costs: Launch["costs"];
}

/**
 * What bench or tune has measured of the models of a planned server.
 * @param profileEnv The profile's variables, as `sealEnv` gives them.
 */
export async function findLaunchCosts(
  prepared: PreparedCommand,
  { profileEnv, dataDir }: { readonly profileEnv: string; readonly dataDir: string },
): Promise<LaunchCosts> {
  const { profile, build, trial, target, sidecars, draft } = prepared;
  if (build === undefined || trial === undefined) return { costKeys: undefined, costs: undefined };
  const { flags } = trial.rendering;
  const targetKey = await findCostKey({
    file: build.file,
    build: describeBuild(build),
    targetFiles: [...target.files, ...sidecars.files],
    flags,
    profileEnv,
  });
  if (targetKey === undefined) return { costKeys: undefined, costs: undefined };
  const types = splitDraftingTypes(profile.values.draft?.type ?? "none");
  const draftKey = draft.drafting.wanted ? findDraftKey({ types, draftFiles: draft.files, flags }) : null;
  const kept = draft.drafting.wanted ? await readKeptCosts(dataDir, targetKey) : undefined;
  return {
    costKeys: { target: targetKey, draft: draftKey },
    costs: kept && pickStepCosts(kept, draftKey),
  };
}
