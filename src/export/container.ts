import { limitOf } from "../base/clock.ts";
import { toClosedLine } from "../base/text/control-characters.ts";

// This room is frozen: the exports keep working, and get no new features. `plan-container.ts` makes a
// `ContainerSpec` of a profile, this file has what all formats share, and each format has a file that renders it.

/** What a container needs that runs one profile's server, in any format; plain data. */
export interface ContainerSpec {
  /** The name of the profile. */
  readonly name: string;
  readonly description?: string;
  readonly image: string;
  /** Arguments of llama-server, the entry point of the image. */
  readonly args: readonly string[];
  /** The key of each argument, for messages: `draft.n_max`, `args[2]`. */
  readonly argKeys?: readonly string[];
  /** The places of keys, for messages. */
  readonly places?: Readonly<Record<string, string>>;
  readonly env: Readonly<Record<string, string>>;
  /** Variables whose values are secrets: the text has their names and not their values. */
  readonly secretEnv: readonly string[];
  /** The file with API keys on the exporting machine; undefined when clients need no key. */
  readonly apiKeyFile?: string;
  /** The files that the server reads from the folder of the models. */
  readonly files: readonly ContainerFile[];
  readonly gpu: Gpu;
  /** The address where clients reach the server, outside the container. */
  readonly publish: { readonly host: string; readonly port: number };
  readonly probes: Probes;
  /** Longest wait for running requests, in milliseconds. */
  readonly stopTimeoutMs: number;
  /** Whether the server locks its memory. */
  readonly mlock: boolean;
  /** Notes for the head of the text. */
  readonly notes: readonly string[];
}

export interface ContainerFile {
  /** Relative to the folder of the models, with `/`. */
  readonly name: string;
  /** Its path on this machine, absolute, with links resolved; undefined when it is not here. */
  readonly source?: string;
  readonly sizeBytes: number;
}

/** How the container reaches GPUs, and how many it gets. */
export type Gpu = { readonly kind: "none" } | { readonly kind: "cuda" | "rocm" | "vulkan"; readonly count: number };

export interface Probes {
  /**
   * llmctl ends a load without a sign of life after this time. A container runtime knows only the total time of a load,
   * which may be {@link startupPatience} times this.
   */
  readonly stallTimeoutMs: number;
  /** Time between two checks of a running server. */
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Failed checks before the server gets no more requests. */
  readonly failures: number;
  /** Time of failed checks before the server is restarted; 0: never. */
  readonly hangTimeoutMs: number;
}

/** The port in the container, where the health check of the image asks, too. */
export const containerPort = 8080;
export const modelsFolder = "/models";
/** The only folder that the server may write. */
export const scratchFolder = "/tmp";
export const apiKeysPath = "/run/secrets/api-keys";

/**
 * Outside the container there are no signs of life, only a clock, so it must be slow: an hour with the default
 * `health.stall_timeout` of 15 minutes.
 */
const startupPatience = 4;

/** How long a load may take, in seconds. */
export function startupSeconds({ stallTimeoutMs }: Probes): number {
  return seconds(startupPatience * limitOf(stallTimeoutMs));
}

/**
 * Whole seconds: at least one, since no format takes less, and at most 30 years, which all formats hold with
 * what is added.
 */
export function seconds(ms: number): number {
  return Math.min(1_000_000_000, Math.max(1, Math.ceil(ms / 1000)));
}

/** The environment of every export: its own variables and those of the profile. */
export function containerEnv({ env }: ContainerSpec): Record<string, string> {
  return { HOME: scratchFolder, GGML_NO_BACKTRACE: "1", ...env };
}

export const healthCommand: readonly string[] = [
  "curl",
  "-fsS",
  "-o",
  "/dev/null",
  `http://127.0.0.1:${containerPort}/health`,
];

/** Time for the server to exit after SIGTERM. */
export const stopMarginSeconds = 15;

/**
 * A command that waits for running requests before the server gets SIGTERM, after which it works on none. It ends at
 * once when the server does not serve its slots; a sleeping server is not asked, since that would wake it. It needs
 * only sh, timeout, curl and grep, which the image has.
 * @param delaySeconds Wait before the first check, until clients know of the stop.
 */
export function drainCommand({ stopTimeoutMs, apiKeyFile }: ContainerSpec, delaySeconds: number): string[] {
  const key = apiKeyFile === undefined ? "" : ` -H "Authorization: Bearer $(grep -m1 '^[^#]' ${apiKeysPath})"`;
  const ask = (path: string) => `curl -fsS${key} http://127.0.0.1:${containerPort}${path}`;
  const awake = `! ${ask("/props")} | grep -Eq '"is_sleeping": ?true'`;
  const busy = `${ask("/slots")} | grep -Eq '"is_processing": ?true'`;
  const wait = delaySeconds === 0 ? "" : `sleep ${delaySeconds}; `;
  return [
    "timeout",
    String(seconds(stopTimeoutMs) + delaySeconds),
    "sh",
    "-c",
    `${wait}while ${awake} && ${busy}; do sleep 1; done`,
  ];
}

/**
 * The head of every export as comments. Each is one line for every reader, also for Podman, which continues comments
 * after a backslash.
 */
export function headLines({ name, description, notes }: ContainerSpec, usage: readonly string[]): string[] {
  const title = `llmctl profile ${name}${description === undefined ? "" : `: ${description}`}`;
  const lines = [title, ...usage, ...notes.map((note) => `Note: ${note}`)];
  return lines.map((line) => `# ${/^ */.exec(line)?.[0] ?? ""}${toClosedLine(line)}`);
}
