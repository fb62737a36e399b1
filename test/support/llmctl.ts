import { dirname } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { noteCommand } from "./commands-of-test.ts";
import type { TempHome } from "./temp-home.ts";

const program = fileURLToPath(new URL("../../dist/main.js", import.meta.url));

export interface RunOptions {
  readonly home: TempHome;
  /** Added to a small environment with PATH, HOME and LLMCTL_HOME; nothing else is inherited. */
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  readonly cwd?: string;
  /** A command that runs the program as its last arguments, such as `["setpriv", …]`. */
  readonly via?: readonly string[];
  /** The longest time; after it the test fails and shows the output so far. */
  readonly timeoutMs?: number;
}

export interface RunResult {
  /** Undefined when a signal ended it. */
  readonly exitCode: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

const fixed = { reject: false, extendEnv: false, forceKillAfterDelay: false } as const;

/** Runs the built program to its end. Never throws for an exit code. */
export async function llmctl(args: readonly string[], options: RunOptions): Promise<RunResult> {
  const { input, cwd = options.home.path, timeoutMs = 50_000 } = options;
  const [file, ...rest] = llmctlCommand(args, options.via);
  const running = execa(file, rest, {
    ...fixed,
    env: environment(options),
    cwd,
    timeout: timeoutMs,
    ...(input === undefined ? { stdin: "ignore" as const } : { input }),
  });
  noteCommand(["llmctl", ...args], running);
  const { exitCode, signal, stdout, stderr } = await running;
  return { exitCode, signal, stdout, stderr };
}

/** Starts a command that stays in the foreground. */
export function startLlmctl(args: readonly string[], options: RunOptions): RunningLlmctl {
  const running = new RunningLlmctl(spawn(args, options));
  noteCommand(["llmctl", ...args], running.ended, () => running.lines.join("\n"));
  return running;
}

function spawn(args: readonly string[], options: RunOptions) {
  const { cwd = options.home.path } = options;
  const [file, ...rest] = llmctlCommand(args, options.via);
  return execa(file, rest, { ...fixed, all: true, stdin: "ignore", env: environment(options), cwd });
}

/** The words of a command line that runs the built program. */
export function llmctlCommand(args: readonly string[], via: readonly string[] = []): [string, ...string[]] {
  const [file = process.execPath, ...rest] = [...via, process.execPath, program, ...args];
  return [file, ...rest];
}

/** The folder of this Node comes first, so that scripts with `env node` run on the same Node. */
function environment({ home, env }: RunOptions): Record<string, string> {
  const path = [dirname(process.execPath), process.env["PATH"]].join(":");
  return { PATH: path, HOME: home.path, LLMCTL_HOME: home.path, ...env };
}

interface Waiter {
  readonly pattern: RegExp;
  readonly resolve: (match: RegExpExecArray) => void;
  readonly reject: (error: Error) => void;
}

/** A command in the foreground. Disposing of it sends SIGTERM and waits for its end. */
export class RunningLlmctl implements AsyncDisposable {
  readonly child: ReturnType<typeof spawn>;
  /** Its output so far, stdout and stderr together. */
  readonly lines: string[] = [];
  /** Its end; never rejects. */
  readonly ended: Promise<RunResult>;
  #waiters: Waiter[] = [];
  #isOver = false;

  constructor(child: ReturnType<typeof spawn>) {
    this.child = child;
    const output = createInterface({ input: child.all });
    output.on("line", (line) => this.#onLine(line));
    output.on("close", () => this.#onEnd());
    this.ended = child.then(({ exitCode, signal, stdout, stderr }) => ({ exitCode, signal, stdout, stderr }));
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error("the command could not be started");
    return this.child.pid;
  }

  /**
   * The first line, already printed or later, that the pattern matches. Rejects when the output ends without one.
   */
  waitForLine(pattern: RegExp): Promise<RegExpExecArray> {
    for (const line of this.lines) {
      const match = pattern.exec(line);
      if (match) return Promise.resolve(match);
    }
    return new Promise((resolve, reject) => {
      this.#waiters.push({ pattern, resolve, reject });
      if (this.#isOver) this.#onEnd();
    });
  }

  /** Sends a signal and waits for the end. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<RunResult> {
    this.child.kill(signal);
    return this.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #onLine(line: string): void {
    this.lines.push(line);
    this.#waiters = this.#waiters.filter(({ pattern, resolve }) => {
      const match = pattern.exec(line);
      if (match) resolve(match);
      return match === null;
    });
  }

  #onEnd(): void {
    this.#isOver = true;
    for (const { pattern, reject } of this.#waiters)
      reject(new Error(`no line matched ${String(pattern)} in:\n${this.lines.join("\n")}`));
    this.#waiters = [];
  }
}
