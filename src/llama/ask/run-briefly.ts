import { LazyImport } from "../../base/lazy-import.ts";

/** How a short run ended; the part of execa's result that matters. */
export interface BriefRun {
  readonly failed: boolean;
  readonly timedOut: boolean;
  readonly exitCode?: number | undefined;
  readonly signal?: string | undefined;
  /** It said more than it may. */
  readonly isMaxBuffer?: boolean | undefined;
  /** The system's error where it could not be started. */
  readonly code?: string | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

interface BriefOptions {
  /** The whole environment of the program. */
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** Of each stream. */
  readonly maxBytes?: number;
}

/** Most supervisors never run one, and live for months. */
const execaModule = new LazyImport(
  () => import("execa"),
  () => import.meta.resolve("execa"),
);

/** For a program that is killed to be gone, and for what it has said to come. */
const lastWordsMs = 200;

/**
 * Runs a program that is to answer and end, without input; one that does not end in time is killed, and one that says
 * more than `maxBytes` is not listened to any longer. Never rejects.
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
  // What it has started may outlive it, and hold its output open: that is not waited for.
  const giveUp = setTimeout(() => {
    running.stdout?.destroy();
    running.stderr?.destroy();
  }, timeoutMs + lastWordsMs);
  try {
    return await running;
  } finally {
    clearTimeout(giveUp);
  }
}
