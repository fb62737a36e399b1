import { readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { once } from "node:events";
import getPort from "get-port";
import { ensureLlamaBuild } from "../support/llama-builds.ts";
import { llmctl } from "../support/llmctl.ts";
import type { Listed } from "../support/processes.ts";
import { demoDraft, demoTarget, TempHome } from "../support/temp-home.ts";

/** Quick enough that hundreds of faults fit into a minute; too many failures to give up are rare, but may come. */
const quick = {
  health: { interval: "100ms", timeout: "500ms", failures: 2, hang_timeout: "2s", stall_timeout: "15s" },
  restart: { backoff: "50ms", backoff_max: "400ms", max_failures: 20, window: "30s" },
  stop: { timeout: "2s" },
};

/** A home with four profiles, on a small disk of its own, and what the run has done to it. */
export class World {
  readonly home: TempHome;
  /** One that drafts, one with a fixed port, both real; two fake ones, of which one is kept when its supervisor dies. */
  readonly names: readonly string[];
  /** The fixed port of one of them. */
  readonly port: number;
  /** The profile whose server outlives its supervisor. */
  readonly kept: string;
  chats = 0;
  #thief: Server | undefined;
  readonly #stopped = new Set<number>();

  private constructor(home: TempHome, port: number) {
    this.home = home;
    this.port = port;
    // Of this run only: its servers are found by their names.
    this.names = ["draft", "port", "fake", "kept"].map((name) => `${name}-${process.pid}`);
    this.kept = `kept-${process.pid}`;
  }

  static async create(): Promise<World> {
    const world = new World(await TempHome.create(), await getPort());
    await world.#writeProfiles();
    return world;
  }

  async #writeProfiles(): Promise<void> {
    const [draft = "", port = "", fake = ""] = this.names;
    const { server: binary } = await ensureLlamaBuild("v0.5.0");
    const real = { ...quick, model: demoTarget, llama: { binary }, ctx_size: 256, gpu_layers: 0, parallel: 1, threads: 1 };
    await this.home.writeProfile(draft, { ...real, alias: draft, draft: { model: demoDraft } });
    await this.home.writeProfile(port, { ...real, alias: port, server: { port: this.port } });
    await this.home.writeFakeProfile(fake, { loadMs: 100 }, { ...quick, alias: fake });
    await this.home.writeFakeProfile(this.kept, { loadMs: 100 }, { ...quick, alias: this.kept, orphan: "keep" });
  }

  /** What `ps` says of every profile that has ever run. */
  async list(): Promise<readonly Listed[]> {
    const { stdout, stderr, exitCode } = await llmctl(["ps", "--json"], { home: this.home });
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

  /** @returns whether something was left to take. */
  async fillDisk(): Promise<boolean> {
    try {
      await writeFile(this.home.join("fill"), Buffer.alloc(64 << 20));
      return false;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOSPC") return true;
      throw error;
    }
  }

  async freeDisk(): Promise<void> {
    await rm(this.home.join("fill"), { force: true });
  }

  /** @returns whether the port was free. */
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
    return true;
  }

  async giveBackPort(): Promise<void> {
    const thief = this.#thief;
    this.#thief = undefined;
    if (thief !== undefined) await new Promise((resolve) => thief.close(resolve));
  }

  /** Takes back all that was done from outside. */
  async calm(): Promise<void> {
    this.wakeSupervisors();
    await this.freeDisk();
    await this.giveBackPort();
  }

  /** The last that each supervisor has noted. */
  async describeLogs(): Promise<string> {
    const tails = this.names.map(async (name) => {
      const text = await readFile(this.home.join("state", name, "supervisor.log"), "utf8").catch(() => "(none)\n");
      return `\n${name}\n${text.split("\n").slice(-30).join("\n")}`;
    });
    return (await Promise.all(tails)).join("");
  }

  async destroy(): Promise<void> {
    await this.calm();
    for (const name of this.names) await llmctl(["down", "--now", name], { home: this.home });
    await this.home[Symbol.asyncDispose]();
  }
}

/** @returns whether there was such a process. */
export function signalIfThere(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw error;
  }
}
