import { expect, test } from "vitest";
import { parseByteCount } from "../../../../src/hub/http/remote-file.ts";

test.each([
  ["0", 0],
  ["135000000000", 135_000_000_000],
  ["9007199254740991", Number.MAX_SAFE_INTEGER],
])("%s is a size", (text, size) => expect(parseByteCount(text)).toBe(size));

test.each(["9007199254740992", "9".repeat(400), "-1", "1e9", "0x10", "1.5", "", " 1", "*", undefined, null])(
  "%s is no size",
  (text) => {
    expect(parseByteCount(text)).toBeUndefined();
  },
);
