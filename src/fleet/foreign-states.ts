import { lstatSync, readdirSync, type Stats } from "node:fs";
import { dirname, join } from "node:path";
import { LlmctlError, systemErrorCode } from "../base/errors.ts";
import { expectOwnFolder } from "../base/files/own-folder.ts";
import { findPaths, type Paths } from "../base/files/paths.ts";
import { commandAs, findUserName } from "../base/describe-user.ts";
import { expectTrustedPath } from "../base/files/trusted-path.ts";
import { expectProfileName, profileNamePattern } from "../base/text/profile-name.ts";
import { findForeignOwner, hasForeignState } from "../supervisor/state/state-folder-owner.ts";
import { readEnvironment, systemEnvironment, systemHome, systemUser } from "../services/unit.ts";
import {
  listProfileStates,
  lostStatus,
  readProfileState,
  unreadableState,
  type ProfileState,
} from "../supervisor/state/profile-states.ts";
import { listUnits, readUnit, unitPath } from "../services/unit-files.ts";

/** Folders, and whose they are where they are not the caller's. */
interface StateOwner {
  readonly paths: Paths;
  readonly owner?: number;
}

/**
 * The state of a profile, whoever runs it: the caller, the user whose home `LLMCTL_HOME` is, or the user of the
 * machine's services.
 * @returns undefined when it has never run.
 * @throws LlmctlError `other-user` (77) with the command to run, where the caller may not look there; as
 *   `readProfileState`.
 */
export async function readStateOfAnyone(paths: Paths, name: string): Promise<ProfileState | undefined> {
  const place = await findPlace(paths, name);
  return place.owner === undefined ? readProfileState(place.paths, name) : readForeign(place.paths, name, place.owner);
}

/** Where the state and the logs of a profile are. @throws as {@link readStateOfAnyone}. */
export async function findPlace(paths: Paths, name: string): Promise<StateOwner> {
  expectProfileName(name);
  const owner = findReadableOwner(paths.state);
  if (owner !== undefined) return { paths, owner };
  if (lstatOrNone(join(paths.state, name)) !== undefined) {
    expectUnled(paths.state);
    return { paths };
  }
  const elsewhere = await explainElsewhere(paths, name);
  if (elsewhere === undefined) return { paths };
  const services = findServices(paths);
  if (services === undefined || !hasForeignState(services.paths.state, name, services.owner)) throw elsewhere;
  return services;
}

/** What is read by way of another user's link is not what was asked for. @throws LlmctlError `foreign-folder` (77) */
function expectUnled(stateDir: string): void {
  if (lstatOrNone(stateDir)?.isSymbolicLink() === true) expectOwnFolder(stateDir);
  expectTrustedPath(dirname(stateDir));
}

/**
 * Why a profile that the caller does not run is not there: it is a service of the machine.
 * @returns undefined where it is none.
 */
export async function explainElsewhere(paths: Paths, name: string): Promise<LlmctlError | undefined> {
  if (paths.state === servicePaths().state || !(await isMachineService(paths, name))) return undefined;
  return new LlmctlError("other-user", `"${name}" is a service of the machine, and runs as the user "${systemUser}"`, {
    exit: "permission",
    fix: `run llmctl as that user: ${serviceCommand()}`,
  });
}

/** What all run that the caller may look at. */
export interface StatesOfAll {
  readonly states: readonly ProfileState[];
  /** Names of services of the machine that the caller may not look at. */
  readonly unseen: readonly string[];
}

/** @throws LlmctlError as `listProfileStates`. */
export async function listStatesOfAll(paths: Paths): Promise<StatesOfAll> {
  const owner = findReadableOwner(paths.state);
  const own = owner === undefined ? await listProfileStates(paths) : await listForeign(paths, owner, expectOwnFolder);
  if (owner !== undefined || paths.state === servicePaths().state) return { states: own, unseen: [] };
  const services = findServices(paths);
  if (services === undefined) return { states: own, unseen: await listServices() };
  return { states: [...own, ...(await listForeign(services.paths, services.owner))], unseen: [] };
}

/** The present command as the user of the machine's services. */
export function serviceCommand(): string {
  return commandAs(systemUser, systemEnvironment);
}

function servicePaths(): Paths {
  return findPaths({ ...process.env, ...systemEnvironment });
}

/** Where the machine's services are, where the caller may look there. */
function findServices(paths: Paths): Required<StateOwner> | undefined {
  const services = servicePaths();
  if (paths.state === services.state) return undefined;
  try {
    const owner = findReadableOwner(services.state);
    return owner === undefined ? undefined : { paths: services, owner };
  } catch (error) {
    if (error instanceof LlmctlError) return undefined;
    throw error;
  }
}

/**
 * @returns whose a folder of states is; undefined where it is the caller's, or none is there.
 * @throws LlmctlError where it cannot be read.
 */
function findReadableOwner(stateDir: string): number | undefined {
  try {
    const owner = lstatOrNone(stateDir) === undefined ? undefined : findForeignOwner(stateDir);
    if (owner === undefined) return undefined;
    readdirSync(stateDir);
    return owner;
  } catch (error) {
    if (systemErrorCode(error) !== "EACCES" && systemErrorCode(error) !== "EPERM") throw error;
    throw unreadableState(stateDir, error);
  }
}

/** @throws the system's error, of a folder that cannot be looked into. */
function lstatOrNone(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (systemErrorCode(error) !== "ENOTDIR") throw error;
    return undefined; // a file in the place of the folder
  }
}

async function isMachineService(paths: Paths, name: string): Promise<boolean> {
  if (!profileNamePattern.test(name)) return false;
  if (await isServiceUnit(name)) return true;
  const services = findServices(paths);
  return services !== undefined && hasForeignState(services.paths.state, name, services.owner);
}

/** Root's own units may run what they like; ours says where its state is. */
async function isServiceUnit(name: string): Promise<boolean> {
  const text = await readUnit(unitPath("system", name));
  return text !== undefined && readEnvironment(text)["LLMCTL_HOME"] === systemHome;
}

async function listServices(): Promise<string[]> {
  const names = await listUnits("system");
  const are = await Promise.all(names.map(isServiceUnit));
  return names.filter((_, index) => are[index]);
}

/** @param onNone What is to be done where nothing is there: a folder that says nothing may be refused. */
async function listForeign(
  { state, ...paths }: Paths,
  owner: number,
  onNone = (_: string) => {},
): Promise<readonly ProfileState[]> {
  const entries = readdirSync(state, { withFileTypes: true });
  if (entries.length === 0) onNone(state);
  const names = entries
    .filter((entry) => entry.isDirectory() && profileNamePattern.test(entry.name))
    .map((entry) => entry.name);
  const states = await Promise.all(names.toSorted().map((name) => readOrExplain({ state, ...paths }, name, owner)));
  return states.filter((one) => one !== undefined);
}

/** One that cannot be read hides none of the others. */
async function readOrExplain(paths: Paths, name: string, owner: number): Promise<ProfileState | undefined> {
  try {
    return await readForeign(paths, name, owner);
  } catch (error) {
    if (!(error instanceof LlmctlError)) throw error;
    return {
      name,
      presence: "unknown",
      status: lostStatus(name, { warnings: [error.message] }),
      error,
      user: userOf(owner),
    };
  }
}

async function readForeign(paths: Paths, name: string, owner: number): Promise<ProfileState | undefined> {
  // Loaded here, so that `ps` is quick where nobody else runs anything.
  const { readForeignState } = await import("../supervisor/state/foreign-state.ts");
  const found = await readForeignState(paths, name, owner);
  return found === undefined ? undefined : { name, ...found, user: userOf(owner) };
}

function userOf(uid: number): string {
  return findUserName(uid) ?? String(uid);
}
