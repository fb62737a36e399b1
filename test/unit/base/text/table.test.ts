import { describe, expect, test } from "vitest";
import { formatTable } from "../../../../src/base/text/table.ts";

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
    expect(formatTable(["A"], [["x\u001b[31my\r\nz"]], 80)).toBe("A\nx [31my z\n");
  });

  test.each([
    [5, "title\nabcde\n"],
    [4, "tit…\nabc…\n"],
    [1, "…\n…\n"],
    [0, "…\n…\n"],
  ])("of %i columns", (width, shown) => {
    expect(formatTable(["title"], [["abcde"]], width)).toBe(shown);
  });

  test("is not cut within a surrogate pair", () => {
    expect(formatTable(["A"], [["ab😀cd"]], 4)).toBe("A\nab…\n");
    expect(formatTable(["A"], [["ab😀cd"]], 5)).toBe("A\nab😀…\n");
  });

  test("without rows is its header, without blanks at the end", () => {
    expect(formatTable(["A", "B", ""], [], 80)).toBe("A  B\n");
  });
});
