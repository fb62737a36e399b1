import type { Clock } from "../../base/clock.ts";
import type { OnBenchEvent } from "../bench-event.ts";
import type { TuneStage } from "../tune-report.ts";

/** The stages of a search, with what each took. */
export class TuneProgress {
  readonly stages: TuneStage[] = [];
  readonly #clock: Pick<Clock, "nowMs">;
  readonly #readLoads: () => number;
  readonly #onEvent: OnBenchEvent;

  constructor({
    clock,
    readLoads,
    onEvent,
  }: {
    clock: Pick<Clock, "nowMs">;
    readLoads: () => number;
    onEvent: OnBenchEvent;
  }) {
    this.#clock = clock;
    this.#readLoads = readLoads;
    this.#onEvent = onEvent;
  }

  /** Runs a stage. @param run Returns its result and what it found, for people. */
  async stage<T>(name: TuneStage["name"], run: () => Promise<readonly [T, string]>): Promise<T> {
    const startedMs = this.#clock.nowMs();
    const loadsBefore = this.#readLoads();
    const [result, found] = await run();
    const seconds = (this.#clock.nowMs() - startedMs) / 1000;
    this.stages.push({ name, seconds, loads: this.#readLoads() - loadsBefore, found });
    this.#onEvent({ kind: "stage", text: `${name}: ${found}` });
    return result;
  }
}
