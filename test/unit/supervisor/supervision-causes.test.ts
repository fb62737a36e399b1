import { expect, test } from "vitest";
import { brokenBySuspend, crashLoop, workerLost } from "../../../src/supervisor/supervision-causes.ts";
import { crashed } from "../../support/make-launch.ts";

// The causes "stalled" and "hung" are in the table of transitions, which makes them.

test("a server whose worker is lost is started again when the worker is back", () => {
  expect(workerLost).toMatchObject({ kind: "rpc-worker-lost", permanent: false, exit: "unavailable" });
});

test("a server that a suspend has broken is started again, and its answer is quoted", () => {
  const cause = brokenBySuspend("it answers 500");
  expect(cause).toMatchObject({ kind: "broken-by-suspend", permanent: false, exit: "failed" });
  expect(cause.message).toBe("the server has stopped computing since the machine was suspended: it answers 500");
  expect(cause.fix).toContain("NVreg_PreserveVideoMemoryAllocations=1");
});

test.each([
  [[0, 400, 1499], 1],
  [[0, 1501], 2],
  [[500, 500], 1],
  [[70_000, 100_000, 130_000], 60],
])("a crash loop with exits at %j took %i s: never none", (failuresMs, seconds) => {
  expect(crashLoop(failuresMs, crashed)).toStrictEqual({
    kind: "crash-loop",
    message: `crash loop: ${failuresMs.length} unexpected exits in ${seconds} s, the last: it crashed`,
    permanent: true,
    exit: "crashLoop",
  });
});
