import { execFile, type ExecFileException } from "node:child_process";

/** How a short run ended. */
export interface BriefRun {
  readonly failed: boolean;
  readonly timedOut: boolean;
  readonly exitCode?: number | undefined;
  readonly signal?: string | undefined;
  /** It printed more than it may. */
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

/** Time for the output of a killed program to arrive. */
const lastWordsMs = 200;

/**
 * Runs a program that answers and ends, without input. A program that does not end in time is killed, and so is one
 * that prints more than `maxBytes` on a stream. Never rejects.
 */
export function runBriefly(
  file: string,
  args: readonly string[],
  { env, timeoutMs, maxBytes = 1_000_000 }: BriefOptions,
): Promise<BriefRun> {
  const options = { env, maxBuffer: maxBytes, killSignal: "SIGKILL", encoding: "utf8" } as const;
  let timedOut = false;
  let timer: NodeJS.Timeout | undefined;
  return new Promise<BriefRun>((resolve) => {
    const child = execFile(file, args, options, (error, stdout, stderr) => {
      const end = describeEnd(error);
      resolve({
        ...end,
        failed: end.failed || timedOut,
        timedOut,
        stdout: withoutNewline(stdout),
        stderr: withoutNewline(stderr),
      });
    });
    child.stdin?.end();
    // A child of the program may outlive it and hold its output open: then the output is not read to its end.
    const stopReading = () => {
      child.stdout?.destroy();
      child.stderr?.destroy();
    };
    timer = setTimeout(() => {
      timedOut = true;
      child.kill("SIGKILL");
      timer = setTimeout(stopReading, lastWordsMs);
    }, timeoutMs);
  })
    .catch((error: unknown) => ({ ...describeEnd(error), timedOut, stdout: "", stderr: "" }))
    .finally(() => clearTimeout(timer));
}

/** How it ended. Node also throws where a program cannot be started, for example with too many arguments (E2BIG). */
function describeEnd(error: unknown): Pick<BriefRun, "failed" | "exitCode" | "signal" | "isMaxBuffer" | "code"> {
  if (error === null) return { failed: false, exitCode: 0 };
  const { code, signal } = error as Partial<ExecFileException>;
  return {
    failed: true,
    exitCode: typeof code === "number" ? code : undefined,
    signal: signal ?? undefined,
    isMaxBuffer: code === "ERR_CHILD_PROCESS_STDIO_MAXBUFFER",
    code: typeof code === "string" ? code : undefined,
  };
}

function withoutNewline(text: string): string {
  return text.replace(/\r?\n$/, "");
}
