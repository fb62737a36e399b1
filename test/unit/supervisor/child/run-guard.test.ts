import { beforeEach, describe, expect, test } from "vitest";
import { RunGuard } from "../../../../src/supervisor/child/run-guard.ts";
import type { RunJudgement } from "../../../../src/supervisor/launch.ts";
import { FakeClock } from "../../../support/fake-clock.ts";

const nothing: RunJudgement = { speedup: undefined, warnings: [], loss: undefined };
const lost: RunJudgement = { ...nothing, warnings: ["it loses"], loss: "it was slower" };

let clock: FakeClock;
/** What is told, in order. */
let told: string[];
/** What the judge says; the test changes it. */
let judge: { judgement: RunJudgement; running: number; isAboutRequest: boolean };
let isBusy: boolean;
let guard: RunGuard;

beforeEach(() => {
  clock = new FakeClock();
  told = [];
  judge = { judgement: nothing, running: 0, isAboutRequest: false };
  isBusy = false;
  guard = new RunGuard({
    judge: {
      noteProof: () => told.push("proof"),
      read: (line, isOwn) => {
        told.push(`${isOwn ? "own " : ""}${line}`);
        return judge.isAboutRequest;
      },
      get running() {
        return judge.running;
      },
      get judgement() {
        return judge.judgement;
      },
    },
    clock,
    isBusy: async () => {
      told.push("asks whether it is busy");
      return isBusy;
    },
    onJudgement: ({ loss }) => void (loss === undefined || told.push("judged")),
    onWarning: (text) => told.push(text),
    onLoss: (loss) => told.push(`lost: ${loss}`),
  });
});

/** Lets time pass with a look each second. @returns what was told meanwhile. */
async function look(seconds: number): Promise<string[]> {
  told.length = 0;
  for (let second = 0; second < seconds; second += 1) {
    await clock.advance(1000);
    guard.look();
  }
  await clock.advance(0);
  return told.filter((text) => text !== "judged");
}

test("a judge reads the lines and gets the proof", () => {
  guard.noteProof({
    requests: 1,
    verdict: { state: "on", draftTokens: 1, acceptedTokens: 1 },
    tokensPerSecond: 1,
    baselineTokensPerSecond: undefined,
  });
  guard.read("a line", false);
  guard.read("a line", true);
  expect(told).toEqual(["proof", "a line", "own a line"]);
});

test("each warning is told once, even when it comes back", async () => {
  judge.judgement = { ...nothing, warnings: ["one", "two"] };
  expect(await look(2)).toEqual(["one", "two"]);
  judge.judgement = nothing;
  expect(await look(1)).toEqual([]);
  judge.judgement = { ...nothing, warnings: ["two", "three"] };
  expect(await look(1)).toEqual(["three"]);
});

describe("a server that would do better as its fallback is replaced", () => {
  test("once no request has run for ten seconds, and the server says so, too", async () => {
    judge.judgement = lost;
    judge.isAboutRequest = true;
    expect(await look(5)).toEqual(["it loses"]);
    guard.read("a request", false);
    expect(await look(9)).toEqual([]);
    expect(await look(1)).toEqual(["asks whether it is busy", "lost: it was slower"]);
  });

  test("not while a request runs by the log", async () => {
    judge.judgement = lost;
    judge.running = 1;
    expect(await look(60)).toEqual(["it loses"]);
    judge.running = 0;
    expect(await look(9)).toEqual([]);
    expect(await look(1)).toContain("lost: it was slower");
  });

  test("not while the server is busy with what it has not logged", async () => {
    judge.judgement = lost;
    isBusy = true;
    expect(await look(11)).toEqual(["it loses", "asks whether it is busy"]);
    isBusy = false;
    expect(await look(8)).toEqual([]);
    expect(await look(2)).toContain("lost: it was slower");
  });

  test("not because of lines that are about no request", async () => {
    judge.judgement = lost;
    for (let second = 0; second < 9; second += 1) {
      await look(1);
      guard.read("a health check", false);
    }
    expect(await look(1)).toContain("lost: it was slower");
  });

  test("never without a loss", async () => {
    judge.judgement = { ...nothing, warnings: ["drafting has stopped"] };
    expect(await look(60)).toEqual(["drafting has stopped"]);
  });
});
