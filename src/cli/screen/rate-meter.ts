/** The rate is that of the last 15 s, so that the time left follows a change of speed. */
const rateWindowMs = 15_000;
/** The shortest interval between samples: a fast download sends many updates. */
const sampleMs = 250;

interface Sample {
  readonly atMs: number;
  readonly done: number;
}

/** How fast an amount grows. */
export class RateMeter {
  #samples: Sample[] = [];

  /** @param atMs The time of a clock that never goes back. */
  note(atMs: number, done: number): void {
    if (atMs - (this.#samples.at(-1)?.atMs ?? Number.NEGATIVE_INFINITY) < sampleMs) return;
    this.#samples = [...this.#samples.filter((sample) => atMs - sample.atMs <= rateWindowMs), { atMs, done }];
  }

  /** Units a second, or undefined while there are too few samples to tell. */
  get perSecond(): number | undefined {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || last.atMs <= first.atMs) return undefined;
    return (last.done - first.done) / ((last.atMs - first.atMs) / 1000);
  }
}
