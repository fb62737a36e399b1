import { exitCodes, type ExitName } from "../base/exit-codes.ts";

/** Whose manager runs a unit: the machine's, or one user's. */
export type UnitScope = "system" | "user";

/** Who services of the machine run as, and where all is that they have. */
export const systemUser = "llmctl";
export const systemHome = "/var/lib/llmctl";

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
  /** Folders that must stay writable beside the unit's own state and runtime folders; those that are missing are left out. */
  readonly writable: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/** What a new start cannot mend, and an end before it was ready that somebody asked for; systemd leaves the unit failed. */
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

/** Text of a service that runs one profile in the foreground under systemd's supervision. */
export function renderUnit(options: UnitOptions): string {
  const sections = [unitSection(options), serviceSection(options), installSection(options)];
  return `${sections.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

function unitSection({ name, description, dependsOn, mounts = [], host = "localhost" }: UnitOptions): string[] {
  const units = dependsOn.map(unitName);
  const network = isAlwaysThere(host) ? [] : ["network-online.target"];
  // Unlike elsewhere systemd knows no escape for the end of a line here.
  const paths = [...new Set(mounts)].filter((path) => !path.includes("\n")).map(quote);
  return [
    "[Unit]",
    `Description=${escapeSpecifiers(oneLine(`llmctl ${name}${description === undefined ? "" : `: ${description}`}`))}`,
    `After=${["network.target", ...network, ...units].join(" ")}`,
    // Started by this unit they would be in its control group, and end with it. Not Requires=: a restart of theirs would load this model anew, too.
    ...(network.length + units.length === 0 ? [] : [`Wants=${[...network, ...units].join(" ")}`]),
    ...(paths.length === 0 ? [] : [`RequiresMountsFor=${paths.join(" ")}`]),
    "StartLimitIntervalSec=10min",
    "StartLimitBurst=5",
  ];
}

function serviceSection(options: UnitOptions): string[] {
  const command = [
    quote(options.nodePath),
    // A boot is no time to fetch 200 GB that nobody watches: `pull` does that, and a start without the files says so.
    ...[options.execPath, "up", "--no-fetch", options.profilePath].map((arg) => quote(arg).replaceAll("$", "$$$$")),
  ];
  const prevented = permanentExits.map((exit) => exitCodes[exit].code).toSorted((a, b) => a - b);
  return [
    "[Service]",
    "Type=notify",
    // The messages come from the systemd-notify tool, not from the main process.
    "NotifyAccess=all",
    `ExecStart=${command.join(" ")}`,
    ...Object.entries(options.environment).map(([key, value]) => `Environment=${quote(`${key}=${value}`)}`),
    // Secrets such as HF_TOKEN: a file that only its owner can read, /etc/llmctl/llmctl.env or ~/.config/llmctl/llmctl.env.
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
    ...(options.priority === undefined ? [] : [`LimitRTPRIO=${options.priority.fifo}`, `LimitNICE=${options.priority.niceness}`]),
    // A core file would hold API keys and prompts. To have one, LimitCORE=infinity and Environment=LLMCTL_CORE_DUMPS=1 in a drop-in.
    "LimitCORE=0",
    "UMask=0077",
    ...(options.scope === "system" ? systemHardening(options) : []),
    ...hardening,
    ...(options.priority === undefined ? ["RestrictRealtime=yes"] : []),
  ];
}

/**
 * Works under a user's manager too. Left out on purpose: MemoryDenyWriteExecute kills Node, PrivateDevices hides GPUs, ProcSubset=pid hides the
 * CPUs, and SystemCallFilter needs EPERM in place of a kill because Node tries pkey_alloc.
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
 * What needs the machine's manager: a user and a folder of its own, mounts, and capabilities to drop. Devices stay open: a list of them is read
 * when the service starts, and NVIDIA's driver adds some of its own only when they are first used.
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
    ...writable.map((path) => `ReadWritePaths=${quote(`-${path}`)}`),
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

/** One word of a unit file. @see systemd.syntax(7), "Quoting" */
export function quote(word: string): string {
  const plain = escapeSpecifiers(word);
  if (/^[\w@%+=:,./-]+$/.test(plain)) return plain;
  return `"${plain.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;
}

/** Addresses that need no network: loopback, all there are, and the path of a unix socket. */
function isAlwaysThere(host: string): boolean {
  return /^(?:localhost|127\.[\d.]+|::1|0\.0\.0\.0|::|)$/i.test(host) || host.includes("/") || host.endsWith(".sock");
}

/** The words of a unit's command, as they were before they were quoted. */
export function readCommand(unit: string): readonly string[] {
  return readSetting(unit, "ExecStart")
    .flatMap(splitWords)
    .map((word) => word.replaceAll("$$", "$"));
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

/** Undoes {@link quote}. */
function splitWords(text: string): string[] {
  return [...text.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(([, quoted, plain = ""]) => {
    const word = quoted?.replaceAll(/\\(.)/g, (_, char: string) => (char === "n" ? "\n" : char)) ?? plain;
    return word.replaceAll("%%", "%");
  });
}

function escapeSpecifiers(text: string): string {
  return text.replaceAll("%", "%%");
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ").trim();
}
