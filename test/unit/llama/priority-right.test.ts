import { expect, test } from "vitest";
import { explainPriority } from "../../../src/llama/priority-right.ts";

const limits = (nice: number | "unlimited", realtime: number | "unlimited") =>
  `Limit                     Soft Limit           Hard Limit           Units     \nMax nice priority         ${nice}                    0                    \nMax realtime priority     ${realtime}                    0                    \n`;
const user = "Name:\tnode\nCapEff:\t0000000000000000\n";
const withNice = "Name:\tnode\nCapEff:\t0000000000800000\n";

test("a user without the right is told what would give it", () => {
  const problem = explainPriority("realtime", { status: user, limits: limits(0, 0) });
  expect(problem).toContain("priority realtime is more than this user may have");
  expect(problem).toContain("LimitRTPRIO=90 and LimitNICE=-20");
  expect(explainPriority("high", { status: user, limits: limits(0, 0) })).toContain("LimitRTPRIO=80 and LimitNICE=-10");
});

test("the capability, or limits that are high enough, give the right", () => {
  expect(explainPriority("realtime", { status: withNice, limits: limits(0, 0) })).toBeUndefined();
  expect(explainPriority("realtime", { status: user, limits: limits(40, 90) })).toBeUndefined();
  expect(explainPriority("realtime", { status: user, limits: limits("unlimited", "unlimited") })).toBeUndefined();
});

test("half a right is none", () => {
  expect(explainPriority("realtime", { status: user, limits: limits(40, 80) })).toBeDefined();
  expect(explainPriority("realtime", { status: user, limits: limits(30, 99) })).toBeDefined();
  expect(explainPriority("high", { status: user, limits: limits(30, 80) })).toBeUndefined();
});

test("normal priority needs no right", () => {
  expect(explainPriority("normal", { status: user, limits: limits(0, 0) })).toBeUndefined();
  expect(explainPriority("low", { status: user, limits: limits(0, 0) })).toBeUndefined();
});
