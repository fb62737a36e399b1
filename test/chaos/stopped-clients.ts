import { setTimeout as sleep } from "node:timers/promises";
import { startLlmctl, type RunningLlmctl } from "../support/llmctl.ts";
import { commandArguments, expectPermitted, type CommandLine } from "./commands.ts";
import { signalIfThere } from "./servers.ts";
import type { World } from "./world.ts";

/** The longest time that a continued command may take. */
const endLimitMs = 50_000;

export interface StoppedClient extends CommandLine {
  /** Its progress when it is stopped. */
  readonly afterMs: number;
  /** The signal that ends its stop. */
  readonly fate: "SIGCONT" | "SIGKILL";
}

/** Commands that were stopped with SIGSTOP, and stay stopped until they are continued. */
export class StoppedClients {
  readonly #clients: { readonly client: StoppedClient; readonly running: RunningLlmctl }[] = [];

  /** @returns its end when it ended before it was stopped. */
  async stop(world: World, client: StoppedClient): Promise<string> {
    const running = startLlmctl(commandArguments(client), { home: world.home, env: world.environment(client.login) });
    const early = await Promise.race([running.ended, sleep(client.afterMs)]);
    if (early !== undefined) return expectPermitted(client, early);
    if (!signalIfThere(running.pid, "SIGSTOP")) return expectPermitted(client, await running.ended);
    this.#clients.push({ client, running });
    return "stopped";
  }

  /** @returns their ends. @throws when one is not allowed. */
  async letGo(): Promise<string> {
    const outcomes = this.#clients.splice(0).map(({ client, running }) => this.#end(client, running));
    return (await Promise.all(outcomes)).join(" ") || "nobody";
  }

  kill(): void {
    for (const { running } of this.#clients.splice(0)) signalIfThere(running.pid, "SIGKILL");
  }

  async #end(client: StoppedClient, running: RunningLlmctl): Promise<string> {
    const { command, fate } = client;
    signalIfThere(running.pid, fate);
    // A command that follows a log ends with SIGTERM, also before it has begun to follow.
    const isFollower = command.endsWith(" -f");
    if (isFollower) signalIfThere(running.pid, "SIGTERM");
    const result = await Promise.race([running.ended, sleep(endLimitMs, undefined, { ref: false })]);
    if (result === undefined) {
      signalIfThere(running.pid, "SIGKILL");
      throw new Error(
        `${command} ${client.name} was stopped and continued, and did not end:\n${running.lines.join("\n")}`,
      );
    }
    const isEnded = fate === "SIGKILL" || (isFollower && result.signal === "SIGTERM");
    return isEnded ? "killed" : expectPermitted(client, result);
  }
}
