import { mkdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { once } from "node:events";
import getPort from "get-port";
import { ensureLlamaBuild } from "../support/llama-builds.ts";
import { llmctl, type RunResult } from "../support/llmctl.ts";
import type { Listed } from "../support/processes.ts";
import { demoDraft, demoTarget, TempHome } from "../support/temp-home.ts";
import { takeFoldersAway } from "./harm.ts";
import { signalIfThere } from "./servers.ts";
import { StoppedClients } from "./stopped-clients.ts";

/** The login of a command's shell: with a runtime folder, or without one, as under cron and `su`. */
export const logins = ["session", "cron"] as const;

export type Login = (typeof logins)[number];

/**
 * The longest time that a port or a disk is taken: longer than most steps, and shorter than a command's wait for a
 * port.
 */
const outageMs = 5000;

/** Short times, so that hundreds of faults fit into a minute. A crash loop is rare, but can occur. */
const quick = {
  health: { interval: "100ms", timeout: "500ms", failures: 2, hang_timeout: "2s", stall_timeout: "15s" },
  restart: { backoff: "50ms", backoff_max: "400ms", max_failures: 20, window: "30s" },
  stop: { timeout: "2s" },
};

/** The home of a user with four profiles on a small separate disk, and the disturbances of this run. */
export class World {
  readonly home: TempHome;
  /**
   * Two with real servers: one drafts, one has a fixed port. Two with fake servers: one outlives its supervisor.
   */
  readonly names: readonly string[];
  /** The fixed port of one profile. */
  readonly port: number;
  /** The profile whose server outlives its supervisor. */
  readonly kept: string;
  /** Folders that were put in the places of files. */
  readonly folders = new Set<string>();
  readonly clients = new StoppedClients();
  chats = 0;
  isDiskFull = false;
  #thief: Server | undefined;
  #disk: NodeJS.Timeout | undefined;
  /** Changes of the runtime folder wait for each other. */
  #runtimeTurn: Promise<unknown> = Promise.resolve();
  #looks = 0;
  readonly #stopped = new Set<number>();

  private constructor(home: TempHome, port: number) {
    this.home = home;
    this.port = port;
    // Names of this run only, since its servers are found by them.
    this.names = ["draft", "port", "fake", "kept"].map((name) => `${name}-${process.pid}`);
    this.kept = `kept-${process.pid}`;
  }

  static async create(): Promise<World> {
    const world = new World(await TempHome.create(), await getPort());
    await world.#writeProfiles();
    await world.giveBackRuntime();
    await mkdir(world.home.join("xdg"));
    await symlink(world.home.join("config"), world.home.join("xdg", "llmctl"));
    return world;
  }

  /** The environment of a command: each login has the same, except for the runtime folder. */
  environment(login: Login): Readonly<Record<string, string>> {
    const user = { LLMCTL_HOME: "", XDG_CONFIG_HOME: this.home.join("xdg") };
    return login === "session" ? { ...user, XDG_RUNTIME_DIR: this.#runtime } : user;
  }

  get #runtime(): string {
    return this.home.join("runtime");
  }

  statePath(...parts: readonly string[]): string {
    return this.home.join(".local", "state", "llmctl", ...parts);
  }

  run(args: readonly string[], login: Login): Promise<RunResult> {
    return llmctl(args, { home: this.home, env: this.environment(login) });
  }

  /** The login for the next check: the answers must be the same for all logins. */
  nextLogin(): Login {
    this.#looks += 1;
    return logins[this.#looks % logins.length] ?? "session";
  }

  async #writeProfiles(): Promise<void> {
    const [draft = "", port = "", fake = ""] = this.names;
    const { server: binary } = await ensureLlamaBuild("v0.5.0");
    const real = {
      ...quick,
      model: demoTarget,
      llama: { binary },
      ctx_size: 256,
      gpu_layers: 0,
      parallel: 1,
      threads: 1,
    };
    await this.home.writeProfile(draft, { ...real, alias: draft, draft: { model: demoDraft } });
    await this.home.writeProfile(port, { ...real, alias: port, server: { port: this.port } });
    await this.home.writeFakeProfile(fake, { loadMs: 100 }, { ...quick, alias: fake });
    await this.home.writeFakeProfile(this.kept, { loadMs: 100 }, { ...quick, alias: this.kept, orphan: "keep" });
  }

  /** The entry in `ps` of every profile that has ever run. */
  async list(): Promise<readonly Listed[]> {
    const { stdout, stderr, exitCode } = await this.run(["ps", "--json"], this.nextLogin());
    if (exitCode !== 0) throw new Error(`ps ended with ${exitCode}: ${stderr}`);
    return JSON.parse(stdout) as Listed[];
  }

  /** Until the end of the step. */
  stopSupervisor(pid: number): void {
    this.#stopped.add(pid);
    process.kill(pid, "SIGSTOP");
  }

  wakeSupervisors(): void {
    for (const pid of this.#stopped) signalIfThere(pid, "SIGCONT");
    this.#stopped.clear();
  }

  /** Fills the disk for a while. @returns whether it had free space. */
  async fillDisk(): Promise<boolean> {
    this.isDiskFull = true;
    this.#disk = setTimeout(() => void this.freeDisk(), outageMs).unref(); // removing our own file cannot fail
    try {
      await writeFile(this.home.join("fill"), Buffer.alloc(64 << 20));
      return false;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOSPC") return true;
      throw error;
    }
  }

  async freeDisk(): Promise<void> {
    clearTimeout(this.#disk);
    await rm(this.home.join("fill"), { force: true });
    this.isDiskFull = false;
  }

  /** Removes the runtime folder, as at the end of a login. */
  removeRuntime(): Promise<void> {
    return this.#inTurn(() => this.#dropRuntime());
  }

  /** Puts a file in its place, so that nobody can create it. @returns false when somebody has created it before. */
  blockRuntime(): Promise<boolean> {
    return this.#inTurn(async () => {
      await this.#dropRuntime();
      try {
        await writeFile(this.#runtime, "", { flag: "wx" });
        return true;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
        throw error;
      }
    });
  }

  giveBackRuntime(): Promise<void> {
    return this.#inTurn(async () => {
      if ((await stat(this.#runtime).catch(() => undefined))?.isFile() === true) await rm(this.#runtime);
      await mkdir(this.#runtime, { recursive: true, mode: 0o700 });
    });
  }

  async #dropRuntime(): Promise<void> {
    await rm(this.#runtime, { recursive: true, force: true, maxRetries: 10 });
  }

  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const done = this.#runtimeTurn.then(act);
    this.#runtimeTurn = done.catch(() => undefined); // the caller gets the error
    return done;
  }

  /** Takes the port for a while. @returns whether it was free. */
  async stealPort(): Promise<boolean> {
    if (this.#thief !== undefined) return false;
    const thief = createServer();
    try {
      await once(thief.listen(this.port, "127.0.0.1"), "listening");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EADDRINUSE") return false;
      throw error;
    }
    this.#thief = thief;
    setTimeout(() => {
      if (this.#thief === thief) void this.giveBackPort(); // closing a server never fails
    }, outageMs).unref();
    return true;
  }

  async giveBackPort(): Promise<void> {
    const thief = this.#thief;
    this.#thief = undefined;
    if (thief !== undefined) await new Promise((resolve) => thief.close(resolve));
  }

  /** Undoes all disturbances. */
  async calm(): Promise<void> {
    this.wakeSupervisors();
    await this.freeDisk();
    await this.giveBackPort();
    await this.giveBackRuntime();
    await takeFoldersAway(this);
  }

  /** The last lines of each supervisor's log. */
  async describeLogs(): Promise<string> {
    const tails = this.names.map(async (name) => {
      const text = await readFile(this.statePath(name, "supervisor.log"), "utf8").catch(() => "(none)\n");
      return `\n${name}\n${text.split("\n").slice(-30).join("\n")}`;
    });
    return (await Promise.all(tails)).join("");
  }

  async destroy(): Promise<void> {
    this.clients.kill();
    await this.calm();
    for (const name of this.names) await this.run(["down", "--now", name], "session");
    await this.home[Symbol.asyncDispose]();
  }
}
