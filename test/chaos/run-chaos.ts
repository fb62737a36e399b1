import fc from "fast-check";
import { describeAction, perform, stepArbitrary, type Action } from "./actions.ts";
import { expectNothingLeft, expectSound } from "./invariants.ts";
import { World } from "./world.ts";

interface ChaosOptions {
  readonly seed: number;
  readonly seconds: number;
}

/** More than fit into any run. */
const mostSteps = 20_000;

/** @returns the exit code: 0 when everything held to the end of the time. */
export async function runChaos({ seed, seconds }: ChaosOptions): Promise<number> {
  console.log(`seed ${seed}, ${seconds} s; again: npm run test:chaos -- --seed ${seed} --seconds ${seconds}`);
  const world = await World.create();
  const endMs = performance.now() + seconds * 1000;
  let done = 0;
  try {
    for (const step of fc.sample(stepArbitrary(world.names), { seed, numRuns: mostSteps })) {
      if (performance.now() > endMs) break;
      done += 1;
      await takeStep(world, step, done);
    }
    await world.calm();
    await expectNothingLeft(world);
    console.log(`${done} steps, ${world.chats} chats answered, and nothing is left`);
    return 0;
  } catch (error) {
    console.error(`\nstep ${done}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    console.error(await world.describeLogs());
    return 1;
  } finally {
    await world.destroy();
  }
}

async function takeStep(world: World, step: readonly Action[], number: number): Promise<void> {
  process.stdout.write(`${String(number).padStart(4)}  ${step.map(describeAction).join(" · ")}`);
  const outcomes = await Promise.all(step.map((action) => perform(world, action)));
  world.wakeSupervisors();
  console.log(`  [${outcomes.join(", ")}]`);
  await expectSound(world);
}
