import { describe, expect, test } from "vitest";
import { acceptedByPosition } from "../../../../src/bench/statistics/accepted-by-position.ts";

const none = { drafts: 0, drafted: 0, accepted: 0, acceptedByPosition: [] };
const some = { drafts: 4, drafted: 27, accepted: 5, acceptedByPosition: [3, 2] };

describe("acceptance by position", () => {
  test("is that of the drafts between two readings", () => {
    expect(acceptedByPosition(none, some)).toEqual([0.75, 0.5]);
    expect(acceptedByPosition(some, { drafts: 14, drafted: 60, accepted: 19, acceptedByPosition: [11, 7, 1] })).toEqual(
      [0.8, 0.5, 0.1],
    );
  });

  test("is not known without drafts, or when the server has started again", () => {
    expect(acceptedByPosition(some, some)).toBeNull();
    expect(acceptedByPosition(some, none)).toBeNull();
    expect(acceptedByPosition(some, { ...some, drafts: 5, acceptedByPosition: [1, 1] })).toBeNull();
  });
});
