/** Wakes a loop that waits for a change. A ring that comes while the loop works is kept for its next wait. */
export class WakeUp {
  #isRung = false;
  #endWait: (() => void) | undefined;

  ring(): void {
    this.#isRung = true;
    this.#endWait?.();
  }

  /** Waits for a ring, or for a time at the most. @returns whether it was rung. */
  async wait(mostMs: number): Promise<boolean> {
    if (!this.#isRung) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, mostMs);
        this.#endWait = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#endWait = undefined;
    }
    const wasRung = this.#isRung;
    this.#isRung = false;
    return wasRung;
  }
}
