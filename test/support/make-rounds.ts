import type { Measurement, Round } from "../../src/bench/measurement.ts";

/** Measurements that differ from an ordinary one in these values. */
function makeMeasurement(values: Partial<Measurement> = {}): Measurement {
  return {
    tokens: 100,
    generateMs: 1000,
    cpuMs: 1000,
    promptTokens: 20,
    firstTokenMs: 50,
    draftTokens: 0,
    acceptedTokens: 0,
    ...values,
  };
}

/** A round of the settings `none` and `profile`. */
export function makeRound(
  promptId: string,
  results: { readonly none?: Partial<Measurement>; readonly profile?: Partial<Measurement> },
  values: Partial<Round> = {},
): Round {
  return {
    promptId,
    pass: 0,
    order: ["none", "profile"],
    results: { none: makeMeasurement(results.none), profile: makeMeasurement(results.profile) },
    waitShare: null,
    at: "2026-11-28T12:00:00.000Z",
    ...values,
  };
}

/** Rounds in which `profile` is faster than `none` by these ratios: a list for each prompt, a value for each pass. */
export function roundsOfRatios(ratios: readonly (readonly number[])[]): Round[] {
  return ratios.flatMap((passes, prompt) =>
    passes.map((ratio, pass) =>
      makeRound(`prompt ${prompt}`, { profile: { generateMs: 1000 / ratio, cpuMs: 1000 / ratio } }, { pass }),
    ),
  );
}
