import fc from "fast-check";
import { describeAction, perform, stepArbitrary, type Action } from "./actions.ts";
import { expectNothingLeft, expectSound, expectStopped } from "./invariants.ts";
import { World } from "./world.ts";

interface ChaosOptions {
  readonly seed: number;
  readonly seconds: number;
}

/** More steps than any run has time for. */
const mostSteps = 20_000;

/** @returns the exit code: 0 when all invariants held until the end. */
export async function runChaos({ seed, seconds }: ChaosOptions): Promise<number> {
  console.log(`seed ${seed}, ${seconds} s; again: npm run test:chaos -- --seed ${seed} --seconds ${seconds}`);
  const world = await World.create();
  const endMs = performance.now() + seconds * 1000;
  let done = 0;
  try {
    const start = world.names.map((name): Action => ({
      do: "command",
      command: "up -d",
      name,
      login: world.nextLogin(),
    }));
    await takeStep(world, start, 0);
    for (const step of fc.sample(stepArbitrary(world.names), { seed, numRuns: mostSteps })) {
      if (performance.now() > endMs) break;
      done += 1;
      await takeStep(world, step, done);
    }
    await world.calm();
    await world.clients.letGo();
    await expectSound(world);
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
  console.log(`  [${outcomes.join(", ")}]`);
  await expectStopped(world.names.filter((name) => isStoppedForGood(name, step, outcomes)));
  world.wakeSupervisors();
  await expectSound(world);
}

/** Whether a `down` printed that it has stopped a profile that no other command was starting at the same time. */
function isStoppedForGood(name: string, step: readonly Action[], outcomes: readonly string[]): boolean {
  const isOf = (action: Action) => "name" in action && action.name === name;
  const isDown = (action: Action) => action.do === "command" && action.command.startsWith("down");
  const mayStart = (action: Action) =>
    action.do === "let the stopped clients go" ||
    (isOf(action) && (action.do === "command" || action.do === "stop a client") && !isDown(action));
  return (
    !step.some(mayStart) && step.some((action, index) => isOf(action) && isDown(action) && outcomes[index] === "0")
  );
}
