import { existsSync, lstatSync, readdirSync } from "node:fs";
import { systemErrorCode } from "../base/errors.ts";
import { isOwn } from "../base/files/own-folder.ts";
import { type Paths, serviceHome, unitFolder } from "../base/files/paths.ts";
import { listProfileStates, type ProfileState } from "../supervisor/state/profile-states.ts";
import type { StatesOfAll } from "./foreign-states.ts";

/**
 * The states of all profiles that the caller may look at, by name.
 * @param all Also those that were stopped.
 * @throws LlmctlError as `listProfileStates`.
 */
export async function listStates(paths: Paths, { all }: { readonly all: boolean }): Promise<StatesOfAll> {
  const { states, unseen } = isAlone(paths)
    ? { states: await listProfileStates(paths), unseen: [] }
    : await listOfAll(paths);
  return { states: states.filter((state) => all || isWorthShowing(state)), unseen };
}

async function listOfAll(paths: Paths): Promise<StatesOfAll> {
  const { listStatesOfAll } = await import("./foreign-states.ts");
  return listStatesOfAll(paths);
}

/**
 * Whether nobody but the caller runs anything that would be listed: then the usual `ps` need not load the code that
 * looks at other users.
 */
function isAlone({ state }: Paths): boolean {
  try {
    const own = lstatSync(state, { throwIfNoEntry: false });
    if ((own !== undefined && !isOwn(own)) || existsSync(serviceHome)) return false;
    return !existsSync(unitFolder) || !readdirSync(unitFolder).some((name) => name.startsWith("llmctl-"));
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return false; // the closer look says why
  }
}

/** Whether it runs or has failed. */
function isWorthShowing({ presence, status }: ProfileState): boolean {
  return presence !== "gone" || status.state !== "stopped";
}
