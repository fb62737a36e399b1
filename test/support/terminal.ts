import { execa } from "execa";
import { noteCommand } from "./commands-of-test.ts";
import type { RunResult } from "./llmctl.ts";
import type { TempHome } from "./temp-home.ts";
import { until } from "./until.ts";

/**
 * A command on a separate terminal, as its foreground process; `script` from util-linux is the terminal.
 */
export class Terminal implements AsyncDisposable {
  readonly #child: ReturnType<typeof start>;
  #output = "";
  readonly ended: Promise<Pick<RunResult, "exitCode"> & { readonly output: string }>;

  constructor(command: readonly string[], home: TempHome) {
    this.#child = start(command, home);
    this.#child.stdout.setEncoding("utf8").on("data", (text: string) => (this.#output += text));
    this.ended = this.#child.then(({ exitCode }) => ({ exitCode, output: this.output }));
    noteCommand(command, this.ended, () => this.output);
  }

  /** The output of the command so far. */
  get output(): string {
    return this.#output.replaceAll("\r\n", "\n");
  }

  async waitFor(text: string): Promise<void> {
    try {
      await until(`the terminal shows "${text}"`, () => this.output.includes(text));
    } catch (cause) {
      throw new Error(`the terminal does not show "${text}", but:\n${this.output}`, { cause });
    }
  }

  /** Keys, as the terminal sends them; Enter is `\r`. */
  type(keys: string): void {
    this.#child.stdin.write(keys);
  }

  /** Ctrl-C through the terminal: every process in the foreground process group gets SIGINT. */
  pressCtrlC(): void {
    this.type("\u0003");
  }

  /** Closes the window. */
  close(): void {
    this.#child.kill("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.ended;
  }
}

function start(command: readonly string[], home: TempHome) {
  const words = command.map((word) => `'${word}'`).join(" ");
  return execa("script", ["--quiet", "--return", "--command", `exec ${words}`, "/dev/null"], {
    cwd: home.path,
    env: {
      PATH: process.env["PATH"] ?? "",
      HOME: home.path,
      LLMCTL_HOME: home.path,
      SHELL: "/bin/sh",
      TERM: "xterm",
      NO_COLOR: "1",
    },
    extendEnv: false,
    stdin: "pipe",
    stderr: "ignore",
    reject: false,
    buffer: false,
  });
}
