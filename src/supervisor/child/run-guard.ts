import type { Clock } from "../../base/clock.ts";
import type { RunJudgement, Proof, RunJudge } from "../launch.ts";

/** A server is idle when no request has run for this long: a chat that goes on is not interrupted. */
const idleMs = 10_000;

interface GuardOptions {
  readonly judge: RunJudge;
  readonly clock: Clock;
  /** Whether the server has unfinished requests. Never rejects. */
  readonly isBusy: () => Promise<boolean>;
  /** Called when the judgement may have changed. */
  readonly onJudgement: (judgement: RunJudgement) => void;
  /** Called once with a fault that was not there before. */
  readonly onWarning: (text: string) => void;
  /** The server would do better as its fallback, and is idle now. May be called again until the run ends. */
  readonly onLoss: (loss: string) => void;
}

/** Passes on what a judge says about one run, and waits for a moment in which its server can be replaced. */
export class RunGuard {
  readonly #options: GuardOptions;
  readonly #told = new Set<string>();
  #lastRequestMs: number;
  #isAsking = false;

  constructor(options: GuardOptions) {
    this.#options = options;
    this.#lastRequestMs = options.clock.nowMs();
  }

  noteProof(proof: Proof): void {
    this.#options.judge.noteProof(proof);
  }

  /** A line of the log; see {@link RunJudge}. */
  read(line: string, isOwn: boolean): void {
    const { judge, clock } = this.#options;
    if (judge.read(line, isOwn)) this.#lastRequestMs = clock.nowMs();
  }

  /** All lines that there were have been read. */
  look(): void {
    const { judge, clock, onJudgement, onWarning } = this.#options;
    const { judgement } = judge;
    onJudgement(judgement);
    for (const text of judgement.warnings) {
      if (this.#told.has(text)) continue;
      this.#told.add(text);
      onWarning(text);
    }
    if (judge.running > 0) this.#lastRequestMs = clock.nowMs();
    if (judgement.loss !== undefined && this.#isQuiet()) void this.#replace(judgement.loss); // handles its own failures
  }

  #isQuiet(): boolean {
    return this.#options.clock.nowMs() - this.#lastRequestMs >= idleMs;
  }

  /** The log comes late where a server writes it in a thread of its own, so the server itself is asked last. */
  async #replace(loss: string): Promise<void> {
    if (this.#isAsking) return;
    this.#isAsking = true;
    const isBusy = await this.#options.isBusy();
    this.#isAsking = false;
    if (isBusy) this.#lastRequestMs = this.#options.clock.nowMs();
    else if (this.#isQuiet()) this.#options.onLoss(loss);
  }
}
