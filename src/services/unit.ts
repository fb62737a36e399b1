import { controlCharacter, toClosedLine } from "../base/text/control-characters.ts";
import { exitCodes, type ExitName } from "../base/exit-codes.ts";
import { escapeSpecifiers, quoteUnitWord, quoteArgument, quotePath, splitWords } from "./unit-quoting.ts";
import { serviceHome } from "../base/files/paths.ts";
import { expectWritable } from "./expect-writable.ts";

/** Whose manager runs a unit: the machine's, or one user's. */
export type UnitScope = "system" | "user";

/** Who services of the machine run as, and where all is that they have. */
export const systemUser = "llmctl";
export const systemHome = serviceHome;
export const systemEnvironment = { LLMCTL_HOME: systemHome, HF_HOME: `${systemHome}/huggingface` } as const;

/** The name that systemd has for a profile's service. */
export function unitName(profile: string): string {
  return `llmctl-${profile}.service`;
}

/** What a unit needs to know; all paths absolute. */
export interface UnitOptions {
  readonly name: string;
  readonly description?: string;
  readonly profilePath: string;
  /** Profiles that have units of their own. */
  readonly dependsOn: readonly string[];
  /** Folders whose file systems must be mounted first. */
  readonly mounts?: readonly string[];
  /** Where the server listens; on loopback unless told. */
  readonly host?: string;
  readonly nodePath: string;
  /** The program that Node runs: llmctl's `main.js`. */
  readonly execPath: string;
  readonly scope: UnitScope;
  readonly stopTimeoutMs: number;
  /** What the server will ask the scheduler for; undefined when that needs no right. */
  readonly priority?: { readonly fifo: number; readonly niceness: number } | undefined;
  /**
   * Folders that must stay writable beside the unit's own state and runtime folders; those that are missing are left
   * out.
   */
  readonly writable: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/**
 * What a new start cannot mend, and an end before it was ready that somebody asked for; systemd leaves the unit failed.
 */
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

/** Time for the supervisor, after the server's own deadline, to kill the server and see it gone. */
const stopMarginMs = 45_000;

/**
 * Text of a service that runs one profile in the foreground under systemd's supervision.
 * @throws LlmctlError `value-unwritable` for a value that systemd has no way to say.
 */
export function renderUnit(options: UnitOptions): string {
  expectAllWritable(options);
  const sections = [unitSection(options), serviceSection(options), installSection(options)];
  return `${sections.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

/** What systemd refuses in the path of a program, however it is quoted (its `string_is_safe`). */
const unsafeInProgram = /["'\\\p{Cc}\p{Zl}\p{Zp}\p{Cs}\p{NChar}]/u;
/** For which it drops a line, or a variable, however it is quoted (its `utf8_is_valid`). */
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
  // Unlike elsewhere systemd knows no escape for the end of a line here. Without it the supervisor itself waits for
  // what is not mounted.
  const paths = [...new Set(mounts)].filter((path) => !controlCharacter.test(path)).map(quotePath);
  return [
    "[Unit]",
    `Description=${escapeSpecifiers(toClosedLine(`llmctl ${name}${description === undefined ? "" : `: ${description}`}`))}`,
    `After=${["network.target", ...network, ...units].join(" ")}`,
    // Started by this unit they would be in its control group, and end with it. Not Requires=: a restart of theirs
    // would load this model anew, too.
    ...(network.length + units.length === 0 ? [] : [`Wants=${[...network, ...units].join(" ")}`]),
    ...(paths.length === 0 ? [] : [`RequiresMountsFor=${paths.join(" ")}`]),
    "StartLimitIntervalSec=10min",
    "StartLimitBurst=5",
  ];
}

function serviceSection(options: UnitOptions): string[] {
  const command = [
    quoteUnitWord(options.nodePath),
    // A boot is no time to fetch 200 GB that nobody watches: `pull` does that, and a start without the files says so.
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
    // SIGTERM goes to the supervisor alone: a second one makes llama-server drop its requests.
    "KillMode=mixed",
    // Extended by the supervisor for as long as a load shows signs of life.
    "TimeoutStartSec=15min",
    `TimeoutStopSec=${Math.ceil((options.stopTimeoutMs + stopMarginMs) / 1000)}`,
    "WatchdogSec=60",
    "Restart=on-failure",
    "RestartSec=5",
    `RestartPreventExitStatus=${prevented.join(" ")}`,
    "OOMPolicy=continue",
    "LogRateLimitIntervalSec=0",
    "LimitMEMLOCK=infinity",
    // Enough without any capability; a user's manager gives no more than it has itself.
    ...(options.priority === undefined
      ? []
      : [`LimitRTPRIO=${options.priority.fifo}`, `LimitNICE=${options.priority.niceness}`]),
    // A core file would hold API keys and prompts. To have one, LimitCORE=infinity and Environment=LLMCTL_CORE_DUMPS=1
    // in a drop-in.
    "LimitCORE=0",
    "UMask=0077",
    ...(options.scope === "system" ? systemHardening(options) : []),
    ...hardening,
    ...(options.priority === undefined ? ["RestrictRealtime=yes"] : []),
  ];
}

/**
 * Works under a user's manager too. Left out on purpose: MemoryDenyWriteExecute kills Node, PrivateDevices hides GPUs,
 * ProcSubset=pid hides the CPUs, and SystemCallFilter needs EPERM in place of a kill because Node tries pkey_alloc.
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
 * What needs the machine's manager: a user and a folder of its own, mounts, and capabilities to drop. Devices stay
 * open: a list of them is read when the service starts, and NVIDIA's driver adds some of its own only when they are
 * first used.
 */
function systemHardening({ writable }: UnitOptions): string[] {
  return [
    `User=${systemUser}`,
    // GPUs that are reached by way of /dev/dri.
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

/** Addresses that need no network: loopback, all there are, and the path of a unix socket. */
function isAlwaysThere(host: string): boolean {
  return /^(?:localhost|127\.[\d.]+|::1|0\.0\.0\.0|::|)$/i.test(host) || host.includes("/") || host.endsWith(".sock");
}

/** The words of a unit's command, as they were before they were quoted. */
export function readCommand(unit: string): readonly string[] {
  return readSetting(unit, "ExecStart")
    .flatMap(splitWords)
    .map((word, index) => (index === 0 ? word : word.replaceAll("$$", "$")));
}

/** What a unit sets in the environment. */
export function readEnvironment(unit: string): Readonly<Record<string, string>> {
  const words = readSetting(unit, "Environment").flatMap(splitWords);
  return Object.fromEntries(words.map((word) => [word.slice(0, word.indexOf("=")), word.slice(word.indexOf("=") + 1)]));
}

function readSetting(unit: string, key: string): string[] {
  const lines = unit.split("\n").filter((line) => line.startsWith(`${key}=`));
  return lines.map((line) => line.slice(key.length + 1));
}
