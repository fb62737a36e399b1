import { LazyImport } from "../../base/lazy-import.ts";

/** How a short run ended; the part of execa's result that matters. */
export interface BriefRun {
  readonly failed: boolean;
  readonly timedOut: boolean;
  readonly exitCode?: number | undefined;
  readonly signal?: string | undefined;
  /** Its output exceeded `maxBytes`. */
  readonly isMaxBuffer?: boolean | undefined;
  /** The system's error code when the program could not be started. */
  readonly code?: string | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

interface BriefOptions {
  /** The whole environment of the program. */
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** The limit for each of the two streams. */
  readonly maxBytes?: number;
}

/** Loaded on first use: most supervisors run no such program, and live for months. */
const execaModule = new LazyImport(
  () => import("execa"),
  () => import.meta.resolve("execa"),
);

/** The time for a killed program to end and for the rest of its output to arrive. */
const outputGraceMs = 200;

/**
 * Runs a program that prints an answer and ends, without input. Kills one that does not end in time, and stops reading
 * after `maxBytes`. Never rejects.
 */
export async function runBriefly(
  file: string,
  args: readonly string[],
  { env, timeoutMs, maxBytes = 1_000_000 }: BriefOptions,
): Promise<BriefRun> {
  const { execa } = await execaModule.get();
  const running = execa(file, args, {
    env,
    extendEnv: false,
    stdin: "ignore",
    timeout: timeoutMs,
    killSignal: "SIGKILL",
    maxBuffer: maxBytes,
    reject: false,
  });
  // A child of the program may outlive it and keep its output open: do not wait for that.
  const giveUp = setTimeout(() => {
    running.stdout?.destroy();
    running.stderr?.destroy();
  }, timeoutMs + outputGraceMs);
  try {
    return await running;
  } finally {
    clearTimeout(giveUp);
  }
}
