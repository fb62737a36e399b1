import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type DraftTrace, DraftTraceParser, type TracedCycle } from "../../../../src/llama/server/draft-trace.ts";
import { hashDrafter, simulate } from "../../../support/simulated-drafting.ts";

function parse(lines: readonly string[]): DraftTrace | undefined {
  const parser = new DraftTraceParser();
  for (const line of lines) parser.push(line);
  return parser.read();
}

const stamp = "0.00.150.083";
const slotLine = (name: string, text: string, { slot = 0, task = 0 } = {}) =>
  `${stamp} D slot ${name}: id  ${slot} | task ${task} | ${text}`;

type Place = { readonly slot?: number; readonly task?: number };

/** Lines of v0.5.0 at `-lv 5`. */
const log = {
  room: (most: number, at?: Place) => slotLine("get_n_draft_", `max possible draft: ${most}`, at),
  candidate: (position: number, token: number, probability: number, { slot = 0, rank = 0 } = {}) =>
    `${stamp} D spec        draft:  - seq_id ${slot}, draft candidate ${`${rank}`.padStart(3)}, ` +
    `pos ${`${position}`.padStart(3)}: ${`${token}`.padStart(6)} (${probability.toFixed(3).padStart(8)}) ' word'`,
  type: (drafted: number, type = "draft-simple") =>
    `${stamp} D spec common_specu: called impl ${type}, hist size = 16, call_count = 1, gen = ${drafted}`,
  check: (drafted: number, at?: Place) =>
    slotLine("handle_last_", `generate_draft: id=340, #tokens=16, #draft=${drafted}, pos_next=16`, at),
  plain: (at?: Place) =>
    slotLine("handle_last_", "slot decode token, id=263, n_ctx = 512, n_tokens = 38, truncated = 0", at),
  accepted: (count: number, drafted: number, at?: Place) =>
    slotLine("  operator()", `add accepted tokens: sampled=223, ids.size=${count + 1}, n_draft=${drafted}`, at),
  token: (id: number, at?: Place) =>
    slotLine("process_toke", `n_gen = 2, n_remaining = -22, next token: ${`${id}`.padStart(5)} ' word'`, at),
  timings: (at?: Place) => slotLine("print_timing", "prompt eval time =       4.48 ms /    16 tokens", at),
  end: (at?: Place) => slotLine("     release", "stop processing: n_tokens = 39, truncated = 0", at),
};

function cycleLines({ mostDraft, candidates, drafted, accepted, tokens }: TracedCycle, at: Place = {}): string[] {
  return [
    log.room(mostDraft, at),
    ...candidates.flatMap(({ token, probability }, position) => [
      log.candidate(position, token, probability, { ...at }),
      log.candidate(position, token + 1, 0.001, { ...at, rank: 1 }),
    ]),
    ...(drafted > 0 ? [log.type(drafted), log.check(drafted, at)] : [log.plain(at)]),
    ...(drafted > 0 ? [log.accepted(accepted, drafted, at)] : []),
    ...tokens.map((token) => log.token(token, at)),
  ];
}

function answerLines(firstToken: number, cycles: readonly TracedCycle[], at?: Place): string[] {
  return [log.token(firstToken, at), ...cycles.flatMap((cycle) => cycleLines(cycle, at)), log.timings(at), log.end(at)];
}

const drafted: TracedCycle = {
  mostDraft: 5,
  candidates: [
    { token: 10, probability: 0.9 },
    { token: 11, probability: 0.25 },
  ],
  drafted: 2,
  accepted: 1,
  tokens: [10, 12],
};
const stopped: TracedCycle = {
  mostDraft: 3,
  candidates: [{ token: 13, probability: 0.1 }],
  drafted: 0,
  accepted: 0,
  tokens: [14],
};

const twoSteps = answerLines(9, [drafted, stopped]);
const traceOfTwoSteps: DraftTrace = {
  type: "draft-simple",
  answers: [{ task: 0, firstToken: 9, cycles: [drafted, stopped] }],
  leftOut: 0,
  restoresCheckpoints: false,
};

describe("the trace of a log", () => {
  test("has each step's candidates, and what was checked and accepted", () => {
    expect(parse(twoSteps)).toEqual(traceOfTwoSteps);
  });

  test("is that of every simulated server, with slots that take turns", () => {
    const text = fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 30 });
    const setting = fc.record({
      nMax: fc.integer({ min: 1, max: 16 }),
      nMin: fc.integer({ min: 0, max: 2 }),
      pMin: fc.integer({ min: 0, max: 19 }).map((step) => step / 20),
    });
    fc.assert(
      fc.property(text, text, setting, fc.infiniteStream(fc.boolean()), (one, other, its, turns) => {
        const texts = [one, other];
        const runs = texts.map((words, slot) => ({
          words,
          traced: simulate({ text: words, room: words.length }, hashDrafter(words, 0.7, slot), its).traced,
        }));
        const [left = [], right = []] = runs.map(({ words, traced }, slot) =>
          answerLines(words[0] ?? 0, traced, { slot, task: 5 - slot }),
        );
        const mixed: string[] = [];
        while (left.length + right.length > 0) {
          const lines = left.length === 0 || (right.length > 0 && turns.next().value === true) ? right : left;
          mixed.push(...lines.splice(0, 1));
        }
        const trace = parse(mixed);
        const expected = runs.map(({ words, traced }, slot) => ({
          task: 5 - slot,
          firstToken: words[0] ?? 0,
          cycles: traced,
        }));
        const hasSteps = expected.some(({ cycles }) => cycles.length > 0);
        expect(trace?.answers.toSorted((a, b) => b.task - a.task)).toEqual(hasSteps ? expected : undefined);
      }),
    );
  });

  test("has the type, and a draft that MTP cut off where the answer has no room", () => {
    const cut = { ...drafted, mostDraft: 1, drafted: 1, accepted: 1 };
    const lines = answerLines(9, [cut]).map((line) => line.replace("draft-simple", "draft-mtp"));
    expect(parse(lines)).toEqual({
      ...traceOfTwoSteps,
      type: "draft-mtp",
      answers: [{ task: 0, firstToken: 9, cycles: [cut] }],
    });
  });

  test("has no room where the context is full", () => {
    const full = { ...stopped, candidates: [], mostDraft: 0 };
    const lines = answerLines(9, [full]).map((line) => line.replace("possible draft: 0", "possible draft: -1"));
    expect(parse(lines)?.answers).toEqual([{ task: 0, firstToken: 9, cycles: [full] }]);
  });

  test("ends a step where the answer ends, though more was accepted", () => {
    const ended = { ...drafted, accepted: 2, tokens: [10] };
    expect(parse(answerLines(9, [ended]))?.answers).toEqual([{ task: 0, firstToken: 9, cycles: [ended] }]);
  });

  test("has an answer as soon as its times are logged, before it is sent", () => {
    expect(parse(twoSteps.slice(0, -1))).toEqual(traceOfTwoSteps);
  });

  test("has an answer that was given up, as far as it went", () => {
    expect(parse(twoSteps.filter((line) => !line.includes("prompt eval time")))).toEqual(traceOfTwoSteps);
  });

  test("counts answers that did not end", () => {
    expect(parse(twoSteps.slice(0, -2))).toEqual({ ...traceOfTwoSteps, answers: [], leftOut: 1 });
    const next = twoSteps.map((line) => line.replace("task 0", "task 7"));
    expect(parse([...twoSteps.slice(0, -2), ...next])).toEqual({
      ...traceOfTwoSteps,
      answers: [{ ...traceOfTwoSteps.answers[0], task: 7 }],
      leftOut: 1,
    });
  });

  test("leaves out an answer for which a checkpoint was restored, and says so", () => {
    const restore = slotLine("  operator()", "restoring speculative checkpoint (pos_min = 1, pos_max = 2, size = 3)");
    const lines = twoSteps.flatMap((line) => (line.includes("add accepted") ? [restore, line] : [line]));
    expect(parse(lines)).toEqual({ ...traceOfTwoSteps, answers: [], leftOut: 1, restoresCheckpoints: true });
  });

  test("is not there on a build without such lines", () => {
    const older = twoSteps.filter((line) => !line.includes("max possible draft"));
    expect(parse(older)).toBeUndefined();
    expect(parse([])).toBeUndefined();
  });
});

describe("foreign text in a log", () => {
  test("inside a line is not taken for a line", () => {
    const quoted = twoSteps.map((line) => `${stamp} D srv  operator(): prompt: '${line}'`);
    const inToken = `${log.token(10).slice(0, -6)} '${log.room(3)}'`;
    const lines = twoSteps.flatMap((line) => [...quoted, line === log.token(10) ? inToken : line]);
    expect(parse(lines)).toEqual(traceOfTwoSteps);
  });

  test("that imitates a line spoils at most its own answer", () => {
    const other = twoSteps.map((line) => line.replace("task 0", "task 1"));
    const imitations = [
      log.candidate(0, 1, 1),
      log.candidate(7, 1, 1),
      log.check(9),
      log.accepted(4, 2),
      log.accepted(2, 2),
      log.token(10),
      log.room(5),
      log.plain(),
    ];
    for (const imitation of imitations) {
      for (let place = 0; place <= twoSteps.length; place += 1) {
        const trace = parse([...twoSteps.toSpliced(place, 0, imitation), ...other]);
        expect(trace?.answers.at(-1)).toEqual({ ...traceOfTwoSteps.answers[0], task: 1 });
      }
    }
  });

  test("of any kind ends no parser, and long lines are passed over", () => {
    fc.assert(fc.property(fc.array(fc.string({ unit: "binary" })), (lines) => parse(lines) === undefined));
    expect(parse([`${log.room(3)}${" ".repeat(3000)}`])).toBeUndefined();
  });

  test("colours that end in the next line do not hide it", () => {
    expect(parse(twoSteps.map((line) => `\u001b[0m${line}`))).toEqual(traceOfTwoSteps);
  });

  test("a step that checks more than was proposed, or adds more than was accepted, is no step", () => {
    for (const wrong of [
      { ...drafted, candidates: [] },
      { ...drafted, tokens: [10, 12, 13] },
      { ...drafted, tokens: [] },
      { ...drafted, mostDraft: 1 },
    ])
      expect(parse(answerLines(9, [wrong]))).toMatchObject({ answers: [], leftOut: 1 });
  });
});
