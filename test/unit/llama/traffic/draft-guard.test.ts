import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DraftGuard, judgeDrafting } from "../../../../src/llama/traffic/draft-guard.ts";
import type { Proof, StepCosts } from "../../../../src/supervisor/launch.ts";
import { makeLaunch } from "../../../support/make-launch.ts";
import { normalNoise } from "../../../support/normal-noise.ts";

const costs: StepCosts = {
  stepMs: [
    { contextTokens: 100, ms: 10 },
    { contextTokens: 1100, ms: 20 },
  ],
  targetMs: null,
  draftMs: null,
  reevaluates: true,
};
const proof: Proof = {
  requests: 1,
  verdict: { state: "on", draftTokens: 9, acceptedTokens: 8 },
  tokensPerSecond: 30,
  baselineTokensPerSecond: undefined,
};

interface Request {
  /** Speed over that without a draft, at the context of 100 tokens. */
  readonly ratio?: number;
  readonly tokens?: number;
  readonly contextTokens?: number;
  readonly draftTokens?: number;
  readonly acceptedTokens?: number;
}

/** The lines of one request on v0.5.0, without the last one. */
function begun({ ratio = 1, tokens = 101, draftTokens = 50, acceptedTokens = 25 }: Request, slot = 0): string[] {
  const ms = ((10 / ratio) * (tokens - 1)).toFixed(2);
  const at = (name: string) => `0.00.1 I slot ${name}: id  ${slot} | task 7 | `;
  return [
    `${at("launch_slot_")}processing task, is_child = 0`,
    `${at("print_timing")}       eval time = ${ms} ms / ${tokens} tokens`,
    ...(draftTokens === 0
      ? []
      : [
          `${at("print_timing")}draft acceptance = 0.5 ( ${acceptedTokens} accepted / ${draftTokens} generated), ` +
            "mean len = 2.0",
        ]),
  ];
}

function ended({ contextTokens = 150 }: Request, slot = 0): string {
  return `slot      release: id  ${slot} | task 7 | stop processing: n_tokens = ${contextTokens}, truncated = 0`;
}

function serve(guard: DraftGuard, ...requests: readonly Request[]): void {
  for (const request of requests) for (const line of [...begun(request), ended(request)]) guard.read(line, false);
}

/** Four requests that nearly agree, with 200 drafted tokens. */
function window(ratio: number, more: Request = {}): Request[] {
  return [0.99, 1.01, 0.99, 1.01].map((noise) => ({ ...more, ratio: ratio * noise }));
}

function makeGuard(more: Partial<ConstructorParameters<typeof DraftGuard>[0]> = {}): DraftGuard {
  const guard = new DraftGuard({ name: "p", costs, ...more });
  guard.noteProof(proof);
  return guard;
}

describe("the estimate", () => {
  test("is the speed of the newest requests over that without a draft", () => {
    const guard = makeGuard();
    serve(guard, ...window(0.5), ...window(1.25));
    expect(guard.judgement.speedup).toEqual({
      ratio: expect.closeTo(1.25, 2),
      low: expect.closeTo(1.23, 2),
      high: expect.closeTo(1.27, 2),
      draftTokens: 200,
      verdict: "unknown",
    });
  });

  test("needs four requests with 200 drafted tokens", () => {
    const guard = makeGuard();
    serve(guard, ...window(1).slice(1));
    expect(guard.judgement.speedup).toBeUndefined();
    serve(guard, { draftTokens: 49, acceptedTokens: 9 });
    expect(guard.judgement.speedup).toBeUndefined();
    serve(guard, { draftTokens: 1, acceptedTokens: 1 });
    expect(guard.judgement.speedup?.draftTokens).toBe(200);
  });

  test("compares each request at the middle of its context", () => {
    const guard = makeGuard();
    // In the middle of its answer the context of each has 600 tokens, where a step takes 15 ms.
    serve(guard, ...window(1, { contextTokens: 650, tokens: 100 }));
    expect(guard.judgement.speedup?.ratio).toBeCloseTo(1.5, 2);
  });

  test("leaves out requests whose context is far from all that was measured", () => {
    const guard = makeGuard();
    serve(guard, ...window(0.5, { contextTokens: 3000 }), ...window(0.5, { contextTokens: 3000 }));
    expect(guard.judgement).toMatchObject({ speedup: undefined, warnings: [], loss: undefined });
  });

  test("leaves out requests that ran beside others, and our own", () => {
    const guard = makeGuard();
    for (const request of [...window(0.5), ...window(0.5)]) {
      const [first = "", ...others] = begun(request, 0);
      for (const line of [first, ...begun(request, 1), ...others, ended(request, 0), ended(request, 1)])
        guard.read(line, false);
      for (const line of [...begun(request), ended(request)]) guard.read(line, line.includes("print_timing"));
    }
    expect(guard.judgement.speedup).toBeUndefined();
  });

  test("is unknown where the speed without a draft is", () => {
    const guard = makeGuard({ costs: undefined });
    serve(guard, ...window(0.5), ...window(0.5));
    expect(guard.judgement).toEqual({ speedup: undefined, warnings: [], loss: undefined });
  });

  test("takes the speed without a draft from the proof where nothing else is known", () => {
    const measured = { ...proof, baselineTokensPerSecond: 200 };
    const guard = makeGuard({ costs: undefined });
    guard.noteProof(measured);
    serve(guard, ...window(1));
    expect(guard.judgement.speedup?.ratio).toBeCloseTo(0.5, 2);
    const known = makeGuard();
    known.noteProof(measured);
    serve(known, ...window(1));
    expect(known.judgement.speedup?.ratio).toBeCloseTo(1, 2);
  });
});

describe("the verdict", () => {
  const verdictOf = (guard: DraftGuard) => guard.judgement.speedup?.verdict;

  test("loses when two windows in a row say so, with one warning that stays as it is", () => {
    const guard = makeGuard();
    serve(guard, ...window(0.84));
    expect([verdictOf(guard), guard.judgement.loss, guard.judgement.warnings]).toEqual(["unknown", undefined, []]);
    serve(guard, ...window(0.84));
    const { warnings, loss } = guard.judgement;
    expect(verdictOf(guard)).toBe("loses");
    expect(loss).toBe("it was slower (0.84 ×)");
    expect(warnings).toEqual([
      "drafting costs more than it brings: 0.84 × (0.82 to 0.86) the speed without a draft, over the last 200 " +
        'drafted tokens; what would pay, "llmctl tune p" finds out',
    ]);
    serve(guard, ...window(0.7), ...window(1));
    expect(guard.judgement).toMatchObject({ warnings, loss });
  });

  test("is told also where the newest requests alone are too unlike in length for an estimate", () => {
    const guard = makeGuard();
    const many = Array.from({ length: 10 }, (_, index) => ({ ratio: index % 2 ? 0.83 : 0.85, draftTokens: 19 }));
    const long = { ratio: 0.84, tokens: 701, draftTokens: 250, contextTokens: 450 };
    serve(guard, ...window(0.84), ...many, long);
    expect(guard.judgement.loss).toBe("it was slower (0.84 ×)");
    expect(guard.judgement.warnings).toHaveLength(1);
  });

  test("is not changed by one window, nor by two that do not follow one another", () => {
    const guard = makeGuard();
    serve(guard, ...window(0.84), ...window(1), ...window(0.84), ...window(1.2), ...window(0.84));
    expect(verdictOf(guard)).toBe("unknown");
  });

  test("pays again only when three windows in a row say so, and the warning goes", () => {
    const guard = makeGuard();
    serve(guard, ...window(0.84), ...window(0.84), ...window(1.2), ...window(1.2), ...window(1), ...window(1.2));
    serve(guard, ...window(1.2));
    expect(verdictOf(guard)).toBe("loses");
    serve(guard, ...window(1.2));
    expect(verdictOf(guard)).toBe("pays");
    expect(guard.judgement).toMatchObject({ warnings: [], loss: undefined });
  });

  test("says which draft length would pay, where the costs of batches are known", () => {
    // One step in three drafts two tokens, of which one is accepted: each next one with a probability of 0.618.
    const short = { ...costs, targetMs: [10, 10, 11, 12, 13], draftMs: [1, 1, 1, 1, 1] };
    const guard = makeGuard({ costs: short });
    serve(guard, ...window(0.84), ...window(0.84));
    expect(guard.judgement.warnings[0]).toContain(
      'draft.n_max 3 would bring about 1.11 ×; what else would pay, "llmctl tune p" finds out',
    );
  });

  test("says that no draft length would pay", () => {
    const dear = { ...costs, targetMs: [10, 20, 30, 40], draftMs: [6, 7, 8, 9] };
    const guard = makeGuard({ costs: dear });
    serve(guard, ...window(0.84), ...window(0.84));
    expect(guard.judgement.warnings[0]).toMatch(/; no draft\.n_max would pay: 1 would bring about 0\.\d\d ×; /);
  });

  test("says what will happen, where the profile wants a restart", () => {
    const guard = makeGuard({ fallback: { args: [], files: [] } });
    serve(guard, ...window(0.84), ...window(0.84));
    expect(guard.judgement.warnings[0]).toMatch(/; the server is restarted without the draft as soon as it is idle$/);
  });

  test("hardly ever changes where drafting neither pays nor loses, whatever the noise", () => {
    fc.assert(
      fc.property(fc.integer(), fc.constantFrom(0.02, 0.1, 0.3), (seed, deviation) => {
        const guard = makeGuard();
        const noise = normalNoise(seed);
        let changes = 0;
        let lost = false;
        // A speed that walks around that without a draft, as that of a machine with other work.
        for (let request = 0, drift = 0; request < 200; request += 1) {
          drift = 0.5 * drift + 0.2 * deviation * noise();
          serve(guard, { ratio: Math.exp(drift + deviation * noise()) });
          const loses = verdictOf(guard) === "loses";
          if (loses !== lost) changes += 1;
          lost = loses;
        }
        return changes <= 1;
      }),
    );
  });
});

describe("without a known speed", () => {
  test("200 drafted tokens of which none was accepted are told at once", () => {
    const guard = makeGuard({ costs: undefined });
    serve(guard, { draftTokens: 150, acceptedTokens: 0 });
    expect(guard.judgement.warnings).toEqual([]);
    serve(guard, { draftTokens: 60, acceptedTokens: 0 });
    const { warnings, loss } = guard.judgement;
    expect(warnings).toEqual([
      "none of the last 210 drafted tokens was accepted: the draft's vocabulary or chat template does not fit the " +
        'target; remove the draft, or "llmctl tune p" finds what would pay',
    ]);
    expect(loss).toBe("none of its drafted tokens was accepted");
    serve(guard, { draftTokens: 60, acceptedTokens: 0 });
    expect(guard.judgement.warnings).toEqual(warnings);
    serve(guard, { draftTokens: 60, acceptedTokens: 1 });
    expect(guard.judgement).toMatchObject({ warnings: [], loss: undefined });
  });

  test("requests that ran beside others count for that, too, and our own do not", () => {
    const rejected = { draftTokens: 150, acceptedTokens: 0 };
    const guard = makeGuard();
    for (const line of [...begun(rejected, 0), ...begun(rejected, 1)]) guard.read(line, true);
    expect(guard.judgement.warnings).toEqual([]);
    for (const line of [...begun(rejected, 0), ...begun(rejected, 1)]) guard.read(line, false);
    expect(guard.judgement.warnings).toHaveLength(1);
  });

  test("1000 tokens without a draft show that drafting has stopped, until it drafts again", () => {
    const guard = makeGuard();
    serve(guard, { tokens: 500, draftTokens: 0 }, { tokens: 499, draftTokens: 0 });
    expect(guard.judgement.warnings).toEqual([]);
    serve(guard, { tokens: 2, draftTokens: 0 });
    expect(guard.judgement.warnings).toEqual([expect.stringMatching(/^drafting has stopped: 1000 tokens in a row/)]);
    serve(guard, {});
    expect(guard.judgement.warnings).toEqual([]);
  });

  test("a server that was never seen to draft has not stopped", () => {
    const guard = makeGuard();
    guard.noteProof({ ...proof, verdict: { state: "off", reason: "the proof request drafted no token" } });
    serve(guard, { tokens: 5000, draftTokens: 0 });
    expect(guard.judgement.warnings).toEqual([]);
  });
});

describe("a line", () => {
  test("is about a request, or it is not", () => {
    const guard = makeGuard();
    expect([...begun({}), ended({})].map((line) => guard.read(line, false))).toEqual([true, true, true, true]);
    expect(guard.read("srv log_server_r: request: GET /health", false)).toBe(false);
  });

  test("tells how many requests run", () => {
    const guard = makeGuard();
    for (const line of [...begun({}, 0), ...begun({}, 1)]) guard.read(line, false);
    expect(guard.running).toBe(2);
    guard.read(ended({}, 1), false);
    expect(guard.running).toBe(1);
  });
});

test("a launch that does not draft, or whose traffic is not watched, has no judge", () => {
  expect(judgeDrafting(makeLaunch({ proof: { wanted: false, reason: "none" } }))).toBeUndefined();
  expect(judgeDrafting(makeLaunch({ watchTraffic: false }))).toBeUndefined();
  expect(judgeDrafting(makeLaunch())).toBeInstanceOf(DraftGuard);
});
