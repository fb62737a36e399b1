import fc from "fast-check";
import { expect, test } from "vitest";
import type { Launch } from "../../../src/supervisor/launch.ts";
import { crashed } from "../../support/make-launch.ts";
import { launches, type Turn, turns, World } from "../../support/machine-world.ts";

const seen = new Set<string>();

/** The world after a sequence of events, or at its end. */
function live(launch: Launch, isPatient: boolean, sequence: readonly Turn[]): World {
  const world = new World(launch, isPatient);
  for (const turn of sequence) {
    world.take(turn);
    if (world.finished !== undefined) break;
  }
  for (const name of world.seen) seen.add(name);
  return world;
}

const rareWishes = fc.array(turns({ down: 1, restart: 15, force: 1 }), { maxLength: 400, size: "max" });
const manyWishes = fc.array(turns({ down: 100, restart: 100, force: 100 }), { maxLength: 60, size: "max" });

test("no sequence of events loses a request, hurries a stop, runs two servers, or ends with another exit", () => {
  fc.assert(
    fc.property(launches, fc.boolean(), rareWishes, (...given) => void live(...given)),
    { numRuns: 100 },
  );
  expect(seen.size).toBe(12);
});

test.each(["down", "force"] as const)(
  "from anywhere, `%s` and the death of the server are enough for an end",
  (wish) => {
    fc.assert(
      fc.property(launches, fc.boolean(), manyWishes, fc.nat(5), (launch, isPatient, sequence, deadlines) => {
        const world = live(launch, isPatient, sequence);
        if (world.finished !== undefined) return;
        const hadServer = world.server !== undefined;
        world.wish(wish);
        for (let i = 0; hadServer && i < deadlines; i += 1) world.passDeadline();
        world.exit(crashed);
        // Without a server there is nothing to kill: `force` is sent after `down`.
        expect(world.finished).toBe(wish === "down" || hadServer ? "done" : undefined);
      }),
      { numRuns: 200 },
    );
  },
);
