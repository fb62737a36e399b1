import { isDeepStrictEqual } from "node:util";
import type { DescribeMachine } from "../ask/computing-machine.ts";
import type { Launch } from "../../supervisor/launch.ts";
import {
  type CostQuestion,
  type DraftCostQuestion,
  findCostKey,
  findDraftKey,
  pickStepCosts,
  readKeptCosts,
} from "./kept-costs.ts";

/** Under which costs are kept. */
export interface CostKeys {
  /** Of the target model; the same with a draft and without one. */
  readonly target: string;
  /** Of the draft; null without one, and for n-grams, which cost nothing. */
  readonly draft: string | null;
}

/** A planned server, as far as its costs depend on it. */
export interface CostedServer extends CostQuestion, DraftCostQuestion {
  readonly isDrafting: boolean;
  /** Asked where something is kept: to list devices takes seconds on some machines. */
  readonly describeMachine: DescribeMachine;
}

interface LaunchCosts {
  /** Undefined where the binary cannot be looked at. */
  readonly costKeys: CostKeys | undefined;
  /** Undefined where nothing was measured on this machine, and for a server that does not draft. */
  readonly costs: Launch["costs"];
}

/** What bench or tune has measured of the models of a planned server. */
export async function findLaunchCosts(server: CostedServer, dataDir: string): Promise<LaunchCosts> {
  const target = await findCostKey(server);
  if (target === undefined) return { costKeys: undefined, costs: undefined };
  const draft = server.isDrafting ? findDraftKey(server) : null;
  const kept = server.isDrafting ? await readKeptCosts(dataDir, target) : undefined;
  const isOfHere = kept !== undefined && isDeepStrictEqual(kept.machine, await server.describeMachine());
  return { costKeys: { target, draft }, costs: isOfHere ? pickStepCosts(kept, draft) : undefined };
}
