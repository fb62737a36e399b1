import type { ExitCause, Launch } from "./launch.ts";

interface CurrentLaunchOptions {
  /** Checks before each start whether it can succeed. @returns the cause if not. */
  readonly preflight: (launch: Launch) => Promise<ExitCause | undefined>;
  /**
   * Plans the real launch when the first one is a placeholder because planning failed. Called before each start until
   * it succeeds.
   * @returns the cause if the launch cannot be planned now.
   */
  readonly plan?: (() => Promise<Launch | ExitCause>) | undefined;
}

/** The launch that a supervisor runs, and the one that takes its place at the next start. */
export class CurrentLaunch {
  readonly #options: CurrentLaunchOptions;
  #current: Launch;
  #next: Launch | undefined;
  /** Runs in place of the wanted launch; undefined while that one runs. */
  #standIn: { readonly launch: Launch; readonly of: Launch } | undefined;
  #isPlanned: boolean;

  constructor(first: Launch, options: CurrentLaunchOptions) {
    this.#current = first;
    this.#options = options;
    this.#isPlanned = options.plan === undefined;
  }

  get current(): Launch {
    return this.#current;
  }

  /** @param launch Undefined keeps the current one, or the one that a stand-in runs for. */
  replaceAtNextStart(launch: Launch | undefined): void {
    this.#next = launch ?? this.#standIn?.of;
  }

  /**
   * Runs the fallback of the current launch from the next start on, until another launch replaces it. The stand-in has
   * the same hash: it still is what the profile asks for.
   * @param reason Why there will be no proof.
   * @returns false where there is no fallback.
   */
  fallBackAtNextStart(reason: string): boolean {
    const { fallback, ...launch } = this.#current;
    if (fallback === undefined) return false;
    this.#next = { ...launch, ...fallback, proof: { wanted: false, reason } };
    this.#standIn = { launch: this.#next, of: this.#current };
    return true;
  }

  /**
   * Takes the next launch and checks whether it can be started. A check that itself fails (no memory, no descriptor, a
   * file of this program that is being replaced) is a temporary cause: the check is repeated.
   * @returns the cause if it cannot be started.
   */
  async prepareStart(): Promise<ExitCause | undefined> {
    if (this.#next !== undefined) {
      this.#current = this.#next;
      this.#next = undefined;
      this.#isPlanned = true;
      if (this.#current !== this.#standIn?.launch) this.#standIn = undefined;
    }
    try {
      return (await this.#complete()) ?? (await this.#options.preflight(this.#current));
    } catch (error) {
      return {
        kind: "preflight-broken",
        message: `cannot prepare the start: ${String(error)}`,
        permanent: false,
        exit: "failed",
      };
    }
  }

  /** @returns the cause while there is no real launch. */
  async #complete(): Promise<ExitCause | undefined> {
    if (this.#isPlanned) return undefined;
    const planned = await this.#options.plan?.();
    if (planned === undefined || "permanent" in planned) return planned;
    this.#current = planned;
    this.#isPlanned = true;
    return undefined;
  }
}
