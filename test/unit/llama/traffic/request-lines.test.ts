import { describe, expect, test } from "vitest";
import { RequestLines, type LoggedRequest } from "../../../../src/llama/traffic/request-lines.ts";

/** A request as v0.5.0 logs it. */
function newer(slot: number, task: number): { begin: string; times: string[]; end: string } {
  const at = (name: string) => `0.00.240.275 I slot ${name}: id  ${slot} | task ${task} | `;
  return {
    begin: `${at("launch_slot_")}processing task, is_child = 0`,
    times: [
      `${at("print_timing")}prompt eval time =       1.86 ms /    16 tokens (    0.12 ms per token)`,
      `${at("print_timing")}       eval time =      15.07 ms /    64 tokens (    0.24 ms per token)`,
      `${at("print_timing")}      total time =      16.94 ms /    80 tokens`,
      `${at("print_timing")}draft acceptance = 0.81481 (   44 accepted /    54 generated), mean len =  3.44`,
    ],
    end: `${at("     release")}stop processing: n_tokens = 79, truncated = 0`,
  };
}

/** The same as b7698 logs it: the slot is named once. */
function older(slot: number, task: number): { begin: string; times: string[]; end: string } {
  const at = (name: string) => `slot ${name}: id  ${slot} | task ${task} | `;
  return {
    begin: `${at("launch_slot_")}processing task, is_child = 0`,
    times: [
      at("print_timing"),
      "prompt eval time =       1.53 ms /    16 tokens (    0.10 ms per token, 10478.06 tokens per second)",
      "       eval time =      15.07 ms /    64 tokens (    0.24 ms per token,  4246.85 tokens per second)",
      "      total time =      16.94 ms /    80 tokens",
      "draft acceptance rate = 0.81481 (   44 accepted /    54 generated)",
    ],
    end: `${at("     release")}stop processing: n_tokens = 79, truncated = 0`,
  };
}

const whole = {
  tokens: 64,
  seconds: 0.01507,
  draftTokens: 54,
  acceptedTokens: 44,
  contextTokens: 79,
  wasAlone: true,
  isOwn: false,
};

function readAll(reader: RequestLines, lines: readonly string[]): LoggedRequest[] {
  return lines.flatMap((line) => reader.read(line, false) ?? []);
}

describe.each([
  ["v0.5.0", newer],
  ["b7698", older],
])("on %s", (_, request) => {
  test("the lines of a request give its tokens, its time, its draft and the length of its context", () => {
    const { begin, times, end } = request(1, 5);
    const reader = new RequestLines();
    expect(readAll(reader, [begin])).toEqual([]);
    expect(reader.running).toBe(1);
    expect(readAll(reader, [...times, end])).toEqual([expect.objectContaining(whole)]);
    expect(reader.running).toBe(0);
  });

  test("requests one after another are alone, and those that overlap are not", () => {
    const [a, b, c] = [request(0, 1), request(1, 2), request(1, 3)];
    const lines = [a.begin, b.begin, ...b.times, b.end, ...a.times, a.end, c.begin, ...c.times, c.end];
    const found = readAll(new RequestLines(), lines);
    expect(found.map(({ wasAlone }) => wasAlone)).toEqual([false, false, true]);
    for (const one of found) expect(one).toMatchObject({ ...whole, wasAlone: one.wasAlone });
  });

  test("a request of our own is marked", () => {
    const { begin, times, end } = request(0, 1);
    const reader = new RequestLines();
    for (const line of [begin, ...times]) reader.read(line, line.includes("eval time"));
    expect(reader.read(end, false)).toMatchObject({ ...whole, isOwn: true });
  });

  test("a request whose beginning, times or end are not logged is left out, and disturbs no other", () => {
    const [a, b, c, d] = [request(0, 1), request(0, 2), request(0, 3), request(0, 4)];
    const lines = [...a.times, a.end, b.begin, b.end, c.begin, ...c.times, d.begin, ...d.times, d.end];
    expect(readAll(new RequestLines(), lines)).toEqual([expect.objectContaining(whole)]);
  });
});

test("an idle server has no request, even if the end of one was lost", () => {
  const reader = new RequestLines();
  reader.read(newer(0, 1).begin, false);
  reader.read("srv  update_slots: all slots are idle", false);
  expect(reader.running).toBe(0);
});

test("a log cannot make it remember without end", () => {
  const reader = new RequestLines();
  for (let slot = 0; slot < 5000; slot += 1) reader.read(newer(slot, slot).begin, false);
  expect(reader.running).toBeLessThanOrEqual(1024);
});

test.each([
  "slot launch_slot_: id  1 | task -1 | sampler chain: logits -> dist",
  "slot      release: id  1 | task 5 | stop processing: n_tokens = many",
  "slot print_timing: id  9 | task 5 | ",
  "slot",
  "",
])("another line is no request: %j", (line) => {
  const reader = new RequestLines();
  expect(reader.read(line, false)).toBeUndefined();
  expect(reader.running).toBe(0);
});
