/** A run in CI, or of mutants, must not fail by another draw than the last one. */
export const fixedSeed = 20_261_128;

/** The seed of all random values of a test run: `LLMCTL_SEED`, the same one each time in CI, otherwise a new one. */
export function chooseSeed(env: Readonly<Record<string, string | undefined>> = process.env): number {
  if (env["LLMCTL_SEED"] !== undefined) return Number(env["LLMCTL_SEED"]);
  return env["CI"] === undefined ? Math.floor(Math.random() * 2 ** 31) : fixedSeed;
}
