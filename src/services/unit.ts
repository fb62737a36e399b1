import { controlCharacter, toClosedLine } from "../base/text/control-characters.ts";
import { exitCodes, type ExitName } from "../base/exit-codes.ts";
import { escapeSpecifiers, quoteUnitWord, quoteArgument, quotePath, splitWords } from "./unit-quoting.ts";
import { serviceHome } from "../base/files/paths.ts";
import { expectWritable } from "./expect-writable.ts";

/** Which manager runs a unit: the system's or one user's. */
export type UnitScope = "system" | "user";

/** User and home of system services. */
export const systemUser = "llmctl";
export const systemHome = serviceHome;
export const systemEnvironment = { LLMCTL_HOME: systemHome, HF_HOME: `${systemHome}/huggingface` } as const;

/** Name of a profile's systemd unit. */
export function unitName(profile: string): string {
  return `llmctl-${profile}.service`;
}

/** Values of a unit; all paths are absolute. */
export interface UnitOptions {
  readonly name: string;
  readonly description?: string;
  readonly profilePath: string;
  /** Profiles that have units of their own. */
  readonly dependsOn: readonly string[];
  /** Folders whose file systems must be mounted first. */
  readonly mounts?: readonly string[];
  /** Host on which the server listens; by default loopback. */
  readonly host?: string;
  readonly nodePath: string;
  /** The program that Node runs: llmctl's `main.js`. */
  readonly execPath: string;
  readonly scope: UnitScope;
  readonly stopTimeoutMs: number;
  /** Scheduling priority of the server; undefined when it needs no privilege. */
  readonly priority?: { readonly fifo: number; readonly niceness: number } | undefined;
  /** Folders that must stay writable besides the unit's own; systemd ignores missing ones. */
  readonly writable: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/** Exits after which systemd must not restart: permanent causes, and a requested stop before ready (`notRunning`). */
const permanentExits: readonly ExitName[] = [
  "usage",
  "notRunning",
  "crashLoop",
  "missingFile",
  "unavailable",
  "busy",
  "permission",
  "config",
];

/** Time for the supervisor to kill the server after the stop timeout, and to see it gone. */
const stopMarginMs = 45_000;

/**
 * Text of a service that runs one profile in the foreground under systemd.
 * @throws LlmctlError `value-unwritable` for a value that a unit cannot express.
 */
export function renderUnit(options: UnitOptions): string {
  expectAllWritable(options);
  const sections = [unitSection(options), serviceSection(options), installSection(options)];
  return `${sections.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

/** Characters that systemd refuses in a program's path, however quoted (its `string_is_safe`). */
const unsafeInProgram = /["'\\\p{Cc}\p{Zl}\p{Zp}\p{Cs}\p{NChar}]/u;
/** Characters for which systemd drops a line or a variable, however quoted (its `utf8_is_valid`). */
const noText = /[\0\p{Cs}\p{NChar}]/u;

function expectAllWritable({ nodePath, execPath, profilePath, environment, writable, scope }: UnitOptions): void {
  expectWritable({ owner: "the path of Node", text: nodePath }, "a unit", unsafeInProgram);
  expectWritable({ owner: "the path of llmctl", text: execPath }, "a unit", noText);
  expectWritable({ owner: "the path of the profile", text: profilePath }, "a unit", noText);
  for (const [owner, text] of Object.entries(environment)) expectWritable({ owner, text }, "a unit", noText);
  if (scope === "user") return;
  for (const text of writable)
    expectWritable({ owner: "a folder that the service writes to", text }, "a unit", controlCharacter);
}

function unitSection({ name, description, dependsOn, mounts = [], host = "localhost" }: UnitOptions): string[] {
  const units = dependsOn.map(unitName);
  const network = isAlwaysThere(host) ? [] : ["network-online.target"];
  // RequiresMountsFor= has no escape for control characters, so such paths are left out: the supervisor itself waits
  // for mounts.
  const paths = [...new Set(mounts)].filter((path) => !controlCharacter.test(path)).map(quotePath);
  const title = description === undefined ? `llmctl ${name}` : `llmctl ${name}: ${description}`;
  return [
    "[Unit]",
    `Description=${escapeSpecifiers(toClosedLine(title))}`,
    `After=${["network.target", ...network, ...units].join(" ")}`,
    // If this unit started them itself, they would be in its control group and end with it. Not Requires=: their
    // restart would reload this model, too.
    ...(network.length + units.length === 0 ? [] : [`Wants=${[...network, ...units].join(" ")}`]),
    ...(paths.length === 0 ? [] : [`RequiresMountsFor=${paths.join(" ")}`]),
    "StartLimitIntervalSec=10min",
    "StartLimitBurst=5",
  ];
}

function serviceSection(options: UnitOptions): string[] {
  const command = [
    quoteUnitWord(options.nodePath),
    // --no-fetch: a boot must not download 200 GB unwatched. A start without the files fails and names `pull`.
    ...[options.execPath, "up", "--no-fetch", options.profilePath].map(quoteArgument),
  ];
  const prevented = permanentExits.map((exit) => exitCodes[exit].code).toSorted((a, b) => a - b);
  return [
    "[Service]",
    "Type=notify",
    // The messages come from the systemd-notify tool, not from the main process.
    "NotifyAccess=all",
    `ExecStart=${command.join(" ")}`,
    ...Object.entries(options.environment).map(([key, value]) => `Environment=${quoteUnitWord(`${key}=${value}`)}`),
    // Secrets such as HF_TOKEN: a file that only its owner can read, /etc/llmctl/llmctl.env or
    // ~/.config/llmctl/llmctl.env.
    "EnvironmentFile=-%E/llmctl/llmctl.env",
    // SIGTERM goes only to the supervisor: a second one would make llama-server drop its requests.
    "KillMode=mixed",
    // The supervisor extends it while a load shows signs of life.
    "TimeoutStartSec=15min",
    `TimeoutStopSec=${Math.ceil((options.stopTimeoutMs + stopMarginMs) / 1000)}`,
    "WatchdogSec=60",
    "Restart=on-failure",
    "RestartSec=5",
    `RestartPreventExitStatus=${prevented.join(" ")}`,
    "OOMPolicy=continue",
    "LogRateLimitIntervalSec=0",
    "LimitMEMLOCK=infinity",
    // Limits suffice, no capability is needed. A user's manager cannot grant more than it has itself.
    ...(options.priority === undefined
      ? []
      : [`LimitRTPRIO=${options.priority.fifo}`, `LimitNICE=${options.priority.niceness}`]),
    // A core file would contain API keys and prompts. A drop-in with LimitCORE=infinity and
    // Environment=LLMCTL_CORE_DUMPS=1 allows one.
    "LimitCORE=0",
    "UMask=0077",
    ...(options.scope === "system" ? systemHardening(options) : []),
    ...hardening,
    ...(options.priority === undefined ? ["RestrictRealtime=yes"] : []),
  ];
}

/**
 * Hardening that works under a user's manager as well. Omitted on purpose: MemoryDenyWriteExecute kills Node,
 * PrivateDevices hides GPUs, ProcSubset=pid hides the CPUs. SystemCallFilter needs EPERM rather than a kill, because
 * Node tries pkey_alloc.
 */
const hardening = [
  "NoNewPrivileges=yes",
  "RestrictNamespaces=yes",
  "LockPersonality=yes",
  "RestrictSUIDSGID=yes",
  "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK",
  "SystemCallArchitectures=native",
  "SystemCallFilter=@system-service",
  "SystemCallErrorNumber=EPERM",
];

/**
 * Hardening that needs the system's manager: own user and folder, mounts, dropped capabilities. Devices are not
 * restricted: systemd resolves a device list at the start of the service, and NVIDIA's driver creates some devices only
 * at their first use.
 */
function systemHardening({ writable }: UnitOptions): string[] {
  return [
    `User=${systemUser}`,
    // For GPUs behind /dev/dri.
    "SupplementaryGroups=video render",
    "StateDirectory=llmctl",
    "StateDirectoryMode=0700",
    "ProtectSystem=strict",
    "ProtectHome=read-only",
    ...writable.map((path) => `ReadWritePaths=${quotePath(`-${path}`)}`),
    "PrivateTmp=yes",
    "CapabilityBoundingSet=",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "ProtectControlGroups=yes",
    "ProtectHostname=yes",
    "ProtectProc=invisible",
    "KeyringMode=private",
    "RemoveIPC=yes",
  ];
}

function installSection({ scope }: UnitOptions): string[] {
  return ["[Install]", `WantedBy=${scope === "system" ? "multi-user.target" : "default.target"}`];
}

/** Whether a host needs no network: loopback, the wildcard address, or the path of a unix socket. */
function isAlwaysThere(host: string): boolean {
  return /^(?:localhost|127\.[\d.]+|::1|0\.0\.0\.0|::|)$/i.test(host) || host.includes("/") || host.endsWith(".sock");
}

/** The unquoted words of a unit's command. */
export function readCommand(unit: string): readonly string[] {
  return readSetting(unit, "ExecStart")
    .flatMap(splitWords)
    .map((word, index) => (index === 0 ? word : word.replaceAll("$$", "$")));
}

/** The environment that a unit sets. */
export function readEnvironment(unit: string): Readonly<Record<string, string>> {
  const words = readSetting(unit, "Environment").flatMap(splitWords);
  return Object.fromEntries(words.map((word) => [word.slice(0, word.indexOf("=")), word.slice(word.indexOf("=") + 1)]));
}

function readSetting(unit: string, key: string): string[] {
  const lines = unit.split("\n").filter((line) => line.startsWith(`${key}=`));
  return lines.map((line) => line.slice(key.length + 1));
}
