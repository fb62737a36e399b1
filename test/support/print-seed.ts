import { chooseSeed } from "./seed.ts";

/** Runs once, before all projects. */
export function setup(): void {
  const seed = chooseSeed();
  process.stderr.write(`seed ${seed}: LLMCTL_SEED=${seed} repeats the random values of this run\n`);
}
