import { describe, expect, test } from "vitest";
import { formatTable } from "../../../../src/cli/screen/table.ts";

describe("a table", () => {
  test("lines up its columns and cuts lines at the width", () => {
    expect(
      formatTable(
        ["A", "B"],
        [
          ["one", "first"],
          ["three", "a longer text"],
        ],
        14,
      ),
    ).toBe("A      B\none    first\nthree  a long…\n");
  });

  test("lets no control character through", () => {
    expect(formatTable(["A"], [["x\u001b[31my\nz"]], 80)).toBe("A\nx [31my z\n");
  });
});
