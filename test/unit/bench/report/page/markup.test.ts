import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { markup } from "../../../../../src/bench/report/page/markup.ts";
import { findHostile, hostileText } from "../../../../support/hostile-text.ts";
import { readPage } from "../../../../support/read-page.ts";

describe("a template of HTML", () => {
  test("takes values for text and markup for markup", () => {
    const inner = markup`<b>${"a < b"}</b>`;
    expect(markup`<p title="${`"'&`}">${[inner, 1, null, undefined, [" x"]]}</p>`.text).toBe(
      `<p title="&quot;&#39;&amp;"><b>a &lt; b</b>1 x</p>`,
    );
  });

  test("gives back any text, in an element and in an attribute", () => {
    const plain = fc.string({ unit: "grapheme-ascii" });
    fc.assert(
      fc.property(plain, plain, (title, text) => {
        const [paragraph] = readPage(markup`<!DOCTYPE html><p title="${title}">${text}</p>`.text).find("p");
        expect([paragraph?.attributes["title"], paragraph?.text]).toEqual([title, text]);
      }),
    );
  });

  test("makes invisible characters visible", () => {
    fc.assert(fc.property(hostileText, (text) => findHostile(markup`<p>${text}</p>`.text) === undefined));
  });
});
