import { rm } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { createTwoFilesPatch } from "diff";
import { writeFileAtomic } from "../../base/files/atomic-write.ts";
import { LlmctlError } from "../../base/errors.ts";
import { describeFix } from "../../base/fix.ts";
import { findPaths } from "../../base/files/paths.ts";
import { printableSentence } from "../../base/text/printable.ts";
import { hasLogin } from "../../base/text/secrets.ts";
import { parseDuration } from "../../base/text/units.ts";
import { expectSafeForRoot } from "../../base/files/trusted-path.ts";
import { askedPriority } from "../../llama/ask/priority-rights.ts";
import { isSocketHost } from "../../profiles/rules/host-kinds.ts";
import {
  readCommand,
  readEnvironment,
  renderUnit,
  systemEnvironment,
  unitName,
  type UnitScope,
} from "../../services/unit.ts";
import { askFor, canAsk } from "../screen/ask.ts";
import { expectInstalled, expectProfileKept } from "./checkout.ts";
import { openProfile } from "../options/context.ts";
import { showUnit, systemctl } from "../../services/systemctl.ts";
import { ensureSystemUser } from "../../services/system-user.ts";
import { readUnit, unitPath } from "../../services/unit-files.ts";
import { findLastFailure } from "../../fleet/units/unit-failure.ts";
import { findGoneFiles } from "../../services/gone-files.ts";
import { describeFailure, describeGone } from "./unit-rows.ts";
import { startUnit } from "../../fleet/units/start-unit.ts";
import { listMounts } from "../../fleet/units/unit-mounts.ts";
import { print } from "../screen/print.ts";

/** Variables that decide the folders and the address of the Hub; a service does not see the caller's shell. */
const passedOn = [
  "LLMCTL_HOME",
  "HF_HOME",
  "HF_HUB_CACHE",
  "HF_ENDPOINT",
  "LLAMA_CACHE",
  "XDG_CACHE_HOME",
  "XDG_CONFIG_HOME",
  "XDG_DATA_HOME",
  "XDG_STATE_HOME",
];

export interface ScopeOptions {
  readonly user?: boolean;
  readonly system?: boolean;
}

interface InstallOptions extends ScopeOptions {
  /** Start it at once, or again where it runs. */
  readonly now: boolean;
  /** Change an existing unit without asking. */
  readonly yes: boolean;
  readonly fromCheckout: boolean;
}

/** Without an option: the machine's manager for root, and the user's own for everyone else. */
function chooseScope({ user = false, system = false }: ScopeOptions): UnitScope {
  if (user && system) throw new LlmctlError("two-scopes", "--user and --system exclude each other", { exit: "usage" });
  return system || (!user && process.getuid?.() === 0) ? "system" : "user";
}

/** `systemd show`: the unit that runs the profile. @throws LlmctlError of a profile that cannot be loaded */
export async function systemdShow(nameOrPath: string, options: ScopeOptions): Promise<string> {
  return (await makeUnit(nameOrPath, chooseScope(options))).text;
}

/**
 * `systemd install`: writes the unit and enables it at boot; shows first what would change in a unit that is there.
 * Safe to repeat.
 * @throws LlmctlError `in-checkout`, `unit-differs` when there is nobody to ask, `not-root`, `systemctl-failed` …
 */
export async function systemdInstall(nameOrPath: string, options: InstallOptions): Promise<void> {
  const scope = chooseScope(options);
  if (!options.fromCheckout) await expectInstalled(process.argv[1] ?? "");
  expectPermitted(scope);
  const { name, text, profilePath } = await makeUnit(nameOrPath, scope);
  if (!options.fromCheckout) await expectProfileKept(profilePath);
  const unit = unitName(name);
  const path = unitPath(scope, name);
  const present = await readUnit(path);
  if (present === text) say(`${path} is as it should be`);
  else {
    if (present !== undefined) await confirmChange(path, present, text, options.yes);
    if (scope === "system") await ensureSystemUser();
    await writeFileAtomic(path, text, { mode: 0o644 });
    say(`${present === undefined ? "wrote" : "changed"} ${path}`);
    await systemctl(scope, ["daemon-reload"]);
  }
  await systemctl(scope, ["enable", "--quiet", unit]);
  if (!options.now)
    return say(`it starts with the next boot, or now: systemctl ${scope === "user" ? "--user " : ""}start ${unit}`);
  // A service that runs an unchanged unit keeps its loaded model.
  const isChanged = present !== undefined && present !== text;
  await startUnit({
    name,
    scope,
    verb: isChanged ? "restart" : "start",
    paths: findPaths({ ...process.env, ...readEnvironment(text) }),
  });
  say(`${unit} is ready`);
}

/**
 * `systemd uninstall`: stops the service and removes its unit; the profile, models and logs stay.
 * @throws LlmctlError `not-installed` …
 */
export async function systemdUninstall(name: string, options: ScopeOptions): Promise<void> {
  const scope = chooseScope(options);
  expectPermitted(scope);
  const path = unitPath(scope, name);
  if ((await readUnit(path)) === undefined) throw notInstalled(name, path);
  await systemctl(scope, ["disable", "--now", "--quiet", unitName(name)]);
  expectSafeForRoot(dirname(path));
  await rm(path);
  await systemctl(scope, ["daemon-reload"]);
  say(`removed ${path}`);
}

/**
 * `systemd status`: whether the unit is there, as it should be, enabled and active.
 * @returns the exit code: 3 when it is not active.
 */
export async function systemdStatus(name: string, options: ScopeOptions): Promise<number> {
  const scope = chooseScope(options);
  const path = unitPath(scope, name);
  const present = await readUnit(path);
  if (present === undefined) throw notInstalled(name, path);
  const shown = await showUnit(scope, name, [
    "ActiveState",
    "SubState",
    "UnitFileState",
    "StatusText",
    "NRestarts",
    "Result",
    "ExecMainStatus",
  ]);
  const of = (key: string) => shown.get(key) ?? "";
  const { note, rows } = await compareUnit(present, name, scope);
  say(`unit      ${path}${note}`);
  say(`at boot   ${of("UnitFileState") || "unknown"}`);
  say(`state     ${of("ActiveState")} (${of("SubState")}), last result ${of("Result")}, ${of("NRestarts")} restarts`);
  if (of("StatusText") !== "") say(`says      ${of("StatusText")}`);
  const gone = (await findGoneFiles(present, name)).flatMap(describeGone);
  const failure = await findLastFailure(findPaths({ ...process.env, ...readEnvironment(present) }), name, shown);
  for (const row of [
    ...gone,
    ...(gone.length === 0 ? rows : []),
    ...(failure === undefined ? [] : describeFailure(failure)),
  ])
    say(row);
  return of("ActiveState") === "active" ? 0 : 3;
}

/** Compares a unit with the one that would be written now. Its profile may be a file that is not found by name. */
async function compareUnit(
  present: string,
  name: string,
  scope: UnitScope,
): Promise<{ readonly note: string; readonly rows: string[] }> {
  try {
    const { text } = await makeUnit(readCommand(present).at(-1) ?? name, scope);
    return {
      note: present === text ? "" : ` (differs from what "llmctl systemd install ${name}" would write)`,
      rows: [],
    };
  } catch (error) {
    if (!(error instanceof LlmctlError)) throw error;
    const { message, at, fix } = error;
    return {
      note: "",
      rows: [
        `profile   ${message}${at === undefined ? "" : ` (${at})`}`,
        ...(fix === undefined ? [] : [`fix       ${describeFix(fix)}`]),
      ],
    };
  }
}

interface MadeUnit {
  readonly name: string;
  readonly text: string;
  readonly profilePath: string;
}

async function makeUnit(nameOrPath: string, scope: UnitScope): Promise<MadeUnit> {
  const { env } = process;
  const paths = findPaths(env);
  const profile = await openProfile(nameOrPath, paths);
  const { name, path, values } = profile;
  const stopTimeoutMs = parseDuration(values.stop.timeout);
  if (stopTimeoutMs === undefined) throw new Error(`a checked profile holds the duration "${values.stop.timeout}"`);
  const set = Object.fromEntries(
    passedOn.flatMap((key) => (env[key] ? [[key, key === "HF_ENDPOINT" ? env[key] : resolve(env[key])]] : [])),
  );
  const text = renderUnit({
    name,
    ...(values.description === undefined ? {} : { description: values.description }),
    profilePath: path,
    dependsOn: values.depends_on,
    mounts: await listMounts(profile, scope === "system" ? findPaths({ ...env, ...systemEnvironment }) : paths),
    host: values.server.host,
    nodePath: process.execPath,
    execPath: resolve(process.argv[1] ?? ""),
    scope,
    stopTimeoutMs,
    priority: askedPriority(values.priority),
    writable: [
      ...(scope === "system"
        ? []
        : [...(env["LLMCTL_HOME"] ? [resolve(env["LLMCTL_HOME"])] : [paths.cache]), paths.hub]),
      ...(isSocketHost(values.server.host) ? [dirname(values.server.host)] : []),
    ],
    // The user of the service has a home of its own, and none of root's variables.
    environment: scope === "system" ? systemEnvironment : withoutLogin(set),
  });
  return { name, text, profilePath: path };
}

/**
 * Refuses a login in the environment: every user of the machine may read a unit, and ask systemd for its environment.
 * @throws LlmctlError `secret-in-unit` (78)
 */
function withoutLogin(set: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const [name] = Object.entries(set).find(([, value]) => hasLogin(value)) ?? [];
  if (name === undefined) return set;
  const without = `run this again without it (env -u ${name} …)`;
  throw new LlmctlError("secret-in-unit", `${name} holds a login, which a unit would show to everyone`, {
    exit: "config",
    at: name,
    fix: `put it in ~/.config/llmctl/llmctl.env, which the unit reads, and ${without}`,
  });
}

/** @throws LlmctlError `unit-differs` when there is nobody to ask, `unchanged` when the answer is no. */
async function confirmChange(path: string, present: string, wanted: string, yes: boolean): Promise<void> {
  print(createTwoFilesPatch(path, "as it would be", present, wanted, undefined, undefined, { context: 1 }));
  if (yes) return;
  if (!canAsk()) {
    throw new LlmctlError("unit-differs", "the unit is there and differs", {
      exit: "busy",
      at: path,
      fix: "add --yes to change it",
    });
  }
  const agrees = await askFor("change it? [y/N] ", (answer) => /^y(es)?$/i.test(answer));
  if (!agrees) throw new LlmctlError("unchanged", "nothing was changed", { exit: "failed", at: path });
}

function expectPermitted(scope: UnitScope): void {
  if (scope === "user" || process.getuid?.() === 0) return;
  throw new LlmctlError("not-root", "units of the machine's manager are written by root", {
    exit: "permission",
    fix: 'use sudo, or "--user" for a service of your own',
  });
}

function notInstalled(name: string, path: string): LlmctlError {
  return new LlmctlError("not-installed", `there is no unit for "${name}"`, {
    exit: "notRunning",
    at: path,
    fix: { run: ["systemd", "install", name] },
  });
}

function say(line: string): void {
  print(`${printableSentence(line)}\n`);
}
