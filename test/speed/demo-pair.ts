import { execa } from "execa";
import type { Launch } from "../../src/supervisor/launch.ts";
import { ensureLlamaBuild } from "../support/llama-builds.ts";
import { TempHome } from "../support/temp-home.ts";
import { program } from "./measure.ts";

/** The demo pair on the real server, with a home of its own. Disposing of it fails when a process is left. */
export class DemoPair implements AsyncDisposable {
  static readonly profile = "demo-pair";
  readonly home: TempHome;
  readonly #server: string;

  private constructor(home: TempHome, server: string) {
    this.home = home;
    this.#server = server;
  }

  static async prepare(): Promise<DemoPair> {
    const { server } = await ensureLlamaBuild("v0.5.0");
    const pair = new DemoPair(await TempHome.create(), server);
    await pair.configure({});
    return pair;
  }

  get env(): NodeJS.ProcessEnv {
    return { ...process.env, LLMCTL_HOME: this.home.path };
  }

  /** Writes the profile: the shipped one with the given changes. */
  async configure(more: Readonly<Record<string, unknown>>): Promise<void> {
    await this.home.writeProfile(DemoPair.profile, { extends: "demo", llama: { binary: this.#server }, ...more });
  }

  /** Runs a command on it, such as `llmctl("up", "-d")`. @returns what it printed. @throws when it fails. */
  async llmctl(command: string, ...options: string[]): Promise<string> {
    return (await execa(process.execPath, [program, command, DemoPair.profile, ...options], { env: this.env })).stdout;
  }

  async plan(): Promise<Launch> {
    return (JSON.parse(await this.llmctl("plan", "--json")) as { launch: Launch }).launch;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.home[Symbol.asyncDispose]();
  }
}
