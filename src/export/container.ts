import { toClosedLine } from "../base/text/control-characters.ts";

/** What a container that runs one profile's server needs, whoever runs it; plain data. */
export interface ContainerSpec {
  /** Of the profile. */
  readonly name: string;
  readonly description?: string;
  readonly image: string;
  /** For the image's own entry point, llama-server. */
  readonly args: readonly string[];
  /** The key that each of the arguments is from, for people: `draft.n_max`, `args[2]`. */
  readonly argKeys?: readonly string[];
  /** Where keys were written, for messages. */
  readonly places?: Readonly<Record<string, string>>;
  readonly env: Readonly<Record<string, string>>;
  /** Variables whose values are secrets, which the text names and does not hold. */
  readonly secretEnv: readonly string[];
  /** The file with API keys on the machine that exports; undefined where clients need none. */
  readonly apiKeyFile?: string;
  /** What is read from the models' folder. */
  readonly files: readonly ContainerFile[];
  readonly gpu: Gpu;
  /** Where clients reach the server, outside of the container. */
  readonly publish: { readonly host: string; readonly port: number };
  readonly probes: Probes;
  /** Longest wait for running requests, in milliseconds. */
  readonly stopTimeoutMs: number;
  /** Whether it locks its memory. */
  readonly mlock: boolean;
  /** What a person should know, for the head of the text. */
  readonly notes: readonly string[];
}

export interface ContainerFile {
  /** Relative to the models' folder, with `/`. */
  readonly name: string;
  /** Where it is on this machine, absolute and no link; undefined where it is not here. */
  readonly source?: string;
  readonly sizeBytes: number;
}

/** How the container gets at graphics cards, and how many of them. */
export type Gpu = { readonly kind: "none" } | { readonly kind: "cuda" | "rocm" | "vulkan"; readonly count: number };

export interface Probes {
  /**
   * No sign of life for this long ends a load under llmctl; where only a clock can be had, a load gets {@link
   * startupPatience} times this.
   */
  readonly stallTimeoutMs: number;
  /** Between two checks of a running server. */
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Failed checks before no request is sent to it. */
  readonly failures: number;
  /** Of failed checks before it is restarted; 0 never restarts it. */
  readonly hangTimeoutMs: number;
}

/** In the container; the image's own health check asks there, too. */
export const containerPort = 8080;
export const modelsFolder = "/models";
/** The only folder that can be written. */
export const scratchFolder = "/tmp";
export const apiKeysPath = "/run/secrets/api-keys";

/**
 * Nobody outside sees signs of life, so the clock that is left must be slow: an hour, as long as `health.stall_timeout`
 * is 15 minutes.
 */
const startupPatience = 4;

/** How long a load may take, in seconds. */
export function startupSeconds({ stallTimeoutMs }: Probes): number {
  return seconds(startupPatience * stallTimeoutMs);
}

/**
 * In whole seconds, at least one, which less is to none of the formats; and no more than they all can hold, with what
 * is added: 30 years.
 */
export function seconds(ms: number): number {
  return Math.min(1_000_000_000, Math.max(1, Math.ceil(ms / 1000)));
}

/** What every export adds to the profile's environment. */
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

/** Time for the server to end by itself after it was told to. */
export const stopMarginSeconds = 15;

/**
 * Waits for running requests, before anything tells the server to stop: from its first SIGTERM on it works on none. It
 * ends at once where the server does not tell of its slots; a sleeping server is not asked, as that would wake it.
 * Needs no more than the image has: sh, timeout, curl and grep.
 * @param delaySeconds Before the first look, for those who send requests to hear of the stop.
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
 * The head of every export, as comments: each of them one line to every reader, such as those of Podman that continue
 * comments, too.
 */
export function headLines({ name, description, notes }: ContainerSpec, usage: readonly string[]): string[] {
  const title = `llmctl profile ${name}${description === undefined ? "" : `: ${description}`}`;
  const lines = [title, ...usage, ...notes.map((note) => `Note: ${note}`)];
  return lines.map((line) => `# ${/^ */.exec(line)?.[0] ?? ""}${toClosedLine(line)}`);
}
