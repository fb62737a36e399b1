import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { llmctl, type RunResult } from "./llmctl.ts";
import type { TempHome } from "./temp-home.ts";
import { until } from "./until.ts";

const script = fileURLToPath(new URL("user-systemd.sh", import.meta.url));
const env = { XDG_RUNTIME_DIR: "/run/user/0", DBUS_SESSION_BUS_ADDRESS: "unix:path=/run/user/0/bus" };

/**
 * A real systemd user manager in a separate mount namespace, with the home's units. Needs root and the package systemd;
 * without them the test fails.
 */
export class UserSystemd implements AsyncDisposable {
  readonly #home: TempHome;
  readonly #process: ChildProcess;
  /** A process inside the namespace. */
  readonly #insidePid: number;
  readonly #namespaces: readonly string[];

  private constructor(home: TempHome, process: ChildProcess, insidePid: number, namespaces: readonly string[]) {
    this.#home = home;
    this.#process = process;
    this.#insidePid = insidePid;
    this.#namespaces = namespaces;
  }

  /** @param network Whether it has a separate network with only loopback. */
  static async start(home: TempHome, { network = false } = {}): Promise<UserSystemd> {
    const namespaces = ["--mount", ...(network ? ["--net"] : [])];
    const up = network ? "ip link set lo up; " : "";
    // Its end is the end of the input that `cat` waits for.
    const child = spawn("unshare", [...namespaces, script, "sh", "-c", `${up}echo $$; exec cat`], {
      env: { PATH: process.env["PATH"], HOME: home.path },
      stdio: ["pipe", "pipe", "inherit"],
    });
    for await (const line of createInterface({ input: child.stdout }))
      return new UserSystemd(home, child, Number(line), namespaces);
    throw new Error(
      "no systemd user manager can be started here: it needs root, mount namespaces and the package systemd",
    );
  }

  get #via(): string[] {
    return ["nsenter", `--target=${this.#insidePid}`, ...this.#namespaces, "--"];
  }

  /** Runs a program in this manager's namespace. @throws when it fails. */
  async run(...command: readonly string[]): Promise<string> {
    const [file = "", ...rest] = [...this.#via, ...command];
    return (await execa(file, rest, { env })).stdout;
  }

  /** Runs a command of llmctl with this manager as the user's. */
  llmctl(...args: readonly string[]): Promise<RunResult> {
    return llmctl(args, { home: this.#home, via: this.#via, env });
  }

  async systemctl(...args: readonly string[]): Promise<string> {
    const [file = "", ...rest] = [...this.#via, "systemctl", "--user", ...args];
    return (await execa(file, rest, { env, reject: false })).stdout;
  }

  /** One property of a profile's unit, such as `ActiveState`. */
  show(name: string, property: string): Promise<string> {
    return this.systemctl("show", "--value", `--property=${property}`, `llmctl-${name}.service`);
  }

  async until(name: string, property: string, value: string | RegExp): Promise<void> {
    const is = (now: string) => (typeof value === "string" ? now === value : value.test(now));
    await until(`${property} of "${name}" is ${String(value)}`, async () => is(await this.show(name, property)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#process, "exit");
    this.#process.stdin?.end();
    await ended;
  }
}
