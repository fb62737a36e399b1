import { expect, test } from "vitest";
import { parseLogTime } from "../../../../src/supervisor/log/log-time.ts";

test.each([
  ["0.00.866.497 I slot print_timing: id  0", 866.497],
  ["61.05.000.001 W srv  stop", 61 * 60_000 + 5000.001],
  ["I srv  without a time", undefined],
  ["0.00.866 I half a time", undefined],
  ["1.75.000.000 no seconds", undefined],
])("%s", (line, ms) => {
  if (ms === undefined) expect(parseLogTime(line)).toBeUndefined();
  else expect(parseLogTime(line)).toBeCloseTo(ms, 6);
});

test("a malformed time is no time", () => {
  expect(parseLogTime(`${"9".repeat(400)}.00.000.000 I line`)).toBeUndefined();
});
