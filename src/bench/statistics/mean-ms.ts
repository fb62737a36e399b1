import { type Measurement, msPerToken, type Timing } from "../measurement.ts";
import { meanOf } from "./interval.ts";

/** The geometric mean of what a token took, in milliseconds; undefined where nothing was measured. */
export function meanMsPerToken(measurements: readonly Measurement[], timing: Timing): number | undefined {
  const logs = measurements.flatMap((measurement) => {
    const ms = msPerToken(measurement, timing);
    return ms === undefined ? [] : [Math.log(ms)];
  });
  return logs.length === 0 ? undefined : Math.exp(meanOf(logs));
}
