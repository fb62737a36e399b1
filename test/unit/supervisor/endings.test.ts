import { expect, test } from "vitest";
import { exitCodes } from "../../../src/base/exit-codes.ts";
import { draftProofTexts } from "../../../src/llama/server/draft-proof-texts.ts";
import { explainExit } from "../../../src/llama/server/exit-cause.ts";
import { explainSpawnFailure } from "../../../src/supervisor/child/server-process.ts";
import type { ExitCause, Launch, ServerExit } from "../../../src/supervisor/launch.ts";
import { initialMachine, next } from "../../../src/supervisor/machine.ts";
import type { Event } from "../../../src/supervisor/machine-types.ts";
import { brokenBySuspend, workerLost } from "../../../src/supervisor/supervision-causes.ts";
import { crashed, makeLaunch, notThere } from "../../support/make-launch.ts";

const base = makeLaunch({ proof: { wanted: false, reason: "not asked" } });
const never = makeLaunch({ ...base, restart: { ...base.restart, policy: "never" } });
const strict = makeLaunch({ proof: { wanted: true, onFailure: "fail" } });
const strictNever = makeLaunch({ ...never, proof: strict.proof });

/** An event of the first spawn; one that is made by code of another file is made when the test runs. */
type Step = Event | (() => Event);

const up: Event = { type: "up" };
const down: Event = { type: "down" };
const force: Event = { type: "force" };
const deadline: Event = { type: "deadline" };
const healthy: Event = { type: "health", epoch: 1, health: "ready" };
const loading: readonly Event[] = [up, { type: "preflight-passed" }, { type: "spawned", epoch: 1 }];
const ready: readonly Event[] = [...loading, healthy];
const unhealthy: readonly Event[] = [
  ...ready,
  ...Array.from({ length: 3 }, (): Event => ({ type: "health", epoch: 1, health: "timeout" })),
];
const notProved = (): Event => ({ type: "not-proved", epoch: 1, cause: draftProofTexts.explainFailure("no draft") });

function refused(cause: ExitCause): Event {
  return { type: "preflight-failed", cause };
}

/** The server's end, in the words of the protocol. */
function exited(exit: Partial<ServerExit> = {}, epoch = 1): () => Event {
  const whole = { name: "p", code: 1, signal: null, lastLines: [], oomKills: 0, wasReady: false, ...exit };
  return () => gone(explainExit(whole), epoch);
}

function gone(cause: ExitCause, epoch = 1): Event {
  return { type: "exited", epoch, cause, nowMs: 0, random: 0.5 };
}

function unspawned(code: string): () => Event {
  const error = Object.assign(new Error("spawn"), { code, syscall: "spawn" });
  return () => gone(explainSpawnFailure("/server", error));
}

const killed = exited({ code: null, signal: "SIGKILL", wasReady: true });
const fiveCrashes = Array.from({ length: 5 }, (_, i): Step[] => [
  { type: "preflight-passed" },
  { type: "spawned", epoch: i + 1 },
  exited({}, i + 1),
  deadline,
])
  .flat()
  .slice(0, -1);

// The kind of the cause that the status shows, and the exit code of `up`; the kind of a wanted end is "none".
test.each<[string, readonly Step[], kind: string, code: number, Launch?]>([
  ["a stop before the start", [down], "none", 0],
  ["a stop during the checks", [up, down], "none", 0],
  ["a stop of a loading server", [...loading, down, exited()], "none", 0],
  ["a stop of a ready server that drains", [...ready, down, { type: "drained", epoch: 1 }, exited()], "none", 0],
  ["a stop that the server ignores", [...ready, down, deadline, deadline, deadline, killed], "none", 0],
  ["a stop of a server that a kill does not end for a while", [...ready, force, deadline, killed], "none", 0],
  ["a forced stop", [...ready, force, killed], "none", 0],
  ["a stop while a hung server is killed", [...unhealthy, { type: "hung", epoch: 1 }, down, killed], "none", 0],
  ["a stop while the next start is waited for", [...ready, killed, down], "none", 0],
  ["a missing model", [up, refused(notThere)], "model-missing", 66],
  ["a program that cannot be run", [...loading, unspawned("ENOENT")], "not-started", 66],
  ["a program without permission", [...loading, unspawned("EACCES")], "not-started", 77],
  ["an unknown flag", [...loading, exited({ lastLines: ["error: invalid argument: --odd"] })], "bad-flag", 78],
  ["a draft that is not used, with on_mismatch: fail", [...ready, notProved, exited()], "not-drafting", 78, strict],
  [
    "the same, when the server ignores the stop",
    [...ready, notProved, deadline, deadline, deadline, killed],
    "not-drafting",
    78,
    strict,
  ],
  ["a death before ready", [...loading, exited()], "exited", 10, never],
  ["a death during the proof", [...ready, exited()], "exited", 10, strictNever],
  ["a death after ready", [...ready, exited({ wasReady: true })], "exited", 1, never],
  ["a death when unhealthy", [...unhealthy, killed], "killed", 1, never],
  ["a stalled load", [...loading, { type: "stalled", epoch: 1 }, killed], "stalled", 11, never],
  [
    "a stalled load that a kill does not end for a while",
    [...loading, { type: "stalled", epoch: 1 }, deadline, killed],
    "stalled",
    11,
    never,
  ],
  ["a hung server", [...unhealthy, { type: "hung", epoch: 1 }, killed], "hung", 1, never],
  ["a lost worker", [...ready, { type: "lost", epoch: 1, cause: workerLost }, killed], "rpc-worker-lost", 69, never],
  [
    "a server that a suspend has broken",
    [...ready, () => ({ type: "lost", epoch: 1, cause: brokenBySuspend("it answers 500") }), killed],
    "broken-by-suspend",
    1,
    never,
  ],
  ["a dependency elsewhere that is not there", [up, refused(crashed)], "crashed", 10, never],
  ["too many deaths", [up, ...fiveCrashes], "crash-loop", 12],
])("%s", (_, steps, kind, code, by = base) => {
  let machine = initialMachine;
  const finished: unknown[] = [];
  for (const step of steps) {
    const event = typeof step === "function" ? step() : step;
    const { machine: after, effects } = next(machine, event, by);
    machine = after;
    const shown = after.state.name === "failed" ? after.state.cause.kind : "none";
    for (const effect of effects) if (effect.do === "finish") finished.push([shown, exitCodes[effect.exit].code]);
  }
  expect(finished).toEqual([[kind, code]]);
});
