import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { LlmctlError } from "../../src/base/errors.ts";
import { isEvent, isRefusal } from "../../src/control/messages.ts";
import { checkLaunch } from "../../src/supervisor/check-launch.ts";
import { readLockRecord } from "../../src/supervisor/state/lock-record.ts";
import { readState, stateFilePath } from "../../src/supervisor/state/state-file.ts";
import { makeLaunch } from "../support/make-launch.ts";
import { makeEvent, makeStatus } from "../support/make-status.ts";
import type { Fuzzer } from "./fuzzer.ts";
import { mutateJson, mutateText } from "./mutate.ts";
import type { Random } from "./random.ts";

const identity = { pid: 12, startTime: "34", bootId: "56", pidNamespace: "pid:[1]" };
const lockRecord = {
  holder: identity,
  profile: "p",
  socket: "/run/p.sock",
  server: { identity, hash: "0", stopTimeoutMs: 5 },
};
const record = {
  status: makeStatus(),
  supervisor: identity,
  server: identity,
  socket: "/run/p.sock",
  stopTimeoutMs: 5,
};

/** What other processes leave in files or send as JSON: taken whole, or not at all. */
export const statesFuzzer: Fuzzer = {
  name: "states",
  counts: { short: 5000, full: 100_000 },
  outcomes: [
    "state",
    "no state",
    "lock record",
    "no lock record",
    "launch",
    "launch-refused",
    "launch-version",
    "event",
    "no event",
  ],
  open: async () => {
    const folder = await mkdtemp(join(tmpdir(), "llmctl-fuzz-"));
    const path = stateFilePath(folder, "p");
    await mkdir(dirname(path));
    return {
      attempt: async (random: Random) => {
        switch (random.below(4)) {
          case 0: {
            writeFileSync(path, anyText(record, random));
            const read = await readState(folder, "p");
            if (read === undefined) return "no state";
            if (read.status.name !== "p" || read.supervisor.pid < 1)
              throw new Error("the state of another profile, or of no process");
            return "state";
          }
          case 1: {
            writeFileSync(path, anyText(lockRecord, random));
            return readLockRecord(path) === undefined ? "no lock record" : "lock record";
          }
          case 2:
            return tryLaunch(mutateJson(makeLaunch(), random));
          default: {
            const value = mutateJson(makeEvent(), random);
            return isEvent(value) || isRefusal(value) ? "event" : "no event";
          }
        }
      },
      [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
    };
  },
};

function anyText(value: unknown, random: Random): string {
  return random.oneIn(2) ? JSON.stringify(mutateJson(value, random)) : mutateText(JSON.stringify(value), random);
}

function tryLaunch(value: unknown): string {
  try {
    checkLaunch(value, { name: "p", protocol: "llama-server" }, "9.9.9");
    return "launch";
  } catch (error) {
    if (error instanceof LlmctlError) return error.code;
    throw error;
  }
}
