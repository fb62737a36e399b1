import { expect, test } from "vitest";
import { findPaths } from "../../../../src/base/files/paths.ts";
import { PlanSession } from "../../../../src/llama/plan/plan-session.ts";

const session = () => new PlanSession(findPaths({ LLMCTL_HOME: "/nowhere" }), {});

test("a question is asked once for all askers, concurrent and later ones", async () => {
  const one = session();
  let asked = 0;
  const ask = async () => (asked += 1);
  const answers = await Promise.all([one.once(["q", 1], ask), one.once(["q", 1], ask)]);
  expect([...answers, await one.once(["q", 1], ask)]).toEqual([1, 1, 1]);
  expect(await one.once(["q", 2], ask)).toBe(2);
});

test("a failed question is asked again, so that each error has the place of its own asker", async () => {
  const one = session();
  const fail = (place: string) => one.once(["q"], () => Promise.reject(new Error(place)));
  const results = await Promise.allSettled([fail("a"), fail("b")]);
  expect(results.map((result) => result.status === "rejected" && String(result.reason))).toEqual([
    "Error: a",
    "Error: b",
  ]);
  expect(await one.once(["q"], async () => "an answer")).toBe("an answer");
});
