import { expect } from "vitest";
import { findHostile } from "./hostile-text.ts";
import { readPage, type ReadPage } from "./read-page.ts";

const known = new Set(
  (
    "html head meta title style body header main footer section div p h1 h2 h3 span strong br dl dt dd ul li table " +
    "caption thead tbody tr th td details summary pre code svg g line circle rect text"
  ).split(" "),
);
const knownAttributes = new Set(
  (
    "lang charset name content http-equiv class id aria-labelledby aria-label aria-hidden role tabindex focusable " +
    "title scope colspan data-label style x y x1 x2 y1 y2 cx cy r dy width height text-anchor"
  ).split(" "),
);
const places = new Set("x y x1 x2 y1 y2 cx cy r dy width height".split(" "));

/** Holds for every page, whatever its report contains. */
export function expectSoundPage(html: string): ReadPage {
  const page = readPage(html);
  expect(page.errors).toEqual([]);
  // No tag was dropped, moved or made up: what a browser sees is what was written.
  expect(page.elements.length).toBe([...html.matchAll(/<[a-zA-Z]/g)].length);
  expect(findHostile(html)).toBeUndefined();
  expectKnownParts(page);
  expectDrawings(page);
  expectOrder(page);
  expect(page.text).not.toMatch(/\bNaN\b|\bInfinity\b|\bundefined\b|\[object /);
  return page;
}

/** Nothing that runs, loads or links: neither elements nor attributes nor styles. */
function expectKnownParts({ elements, find }: ReadPage): void {
  expect(elements.map(({ name }) => name).filter((name) => !known.has(name))).toEqual([]);
  const names = elements.flatMap(({ attributes }) => Object.keys(attributes));
  expect([...new Set(names)].filter((name) => !knownAttributes.has(name))).toEqual([]);
  const styles = elements.flatMap(({ attributes }) => attributes["style"] ?? []);
  expect(styles.filter((style) => !/^--heat:\d{1,2}%$/.test(style))).toEqual([]);
  expect(find("style").map(({ text }) => text.match(/url\(|@import|expression|https?:/g))).toEqual([null]);
  const policy = find("meta").find(({ attributes }) => "http-equiv" in attributes);
  expect(policy?.attributes["content"]).toBe("default-src 'none'; style-src 'unsafe-inline'");
}

/** Every place of a mark is a number, and inside its drawing where it is a share of it. */
function expectDrawings({ elements, find }: ReadPage): void {
  for (const { attributes } of elements.filter(({ around }) => around.includes("svg"))) {
    for (const [name, value] of Object.entries(attributes)) {
      if (!places.has(name)) continue;
      expect(value).toMatch(/^-?\d+(?:\.\d+)?%?$/);
      if (value.endsWith("%")) expect(Math.abs(Number.parseFloat(value) - 50)).toBeLessThanOrEqual(50);
    }
  }
  for (const { attributes } of find("svg")) {
    expect(
      attributes["aria-hidden"] === "true" || (attributes["role"] === "img" && attributes["aria-label"]),
    ).toBeTruthy();
  }
}

/** One heading of the first level, none left out, and each section named by its own. */
function expectOrder({ elements, find }: ReadPage): void {
  const levels = elements.flatMap(({ name }) => (/^h\d$/.test(name) ? [Number(name[1])] : []));
  expect(levels.filter((level) => level === 1)).toEqual([1]);
  expect(levels.filter((level, index) => level > (levels[index - 1] ?? 0) + 1)).toEqual([]);
  const ids = elements.flatMap(({ attributes }) => attributes["id"] ?? []);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { attributes } of find("section")) expect(ids).toContain(attributes["aria-labelledby"]);
  for (const { attributes, around } of find("th")) {
    if (around[1] === "thead") expect(attributes["scope"]).toBe("col");
    else expect(attributes["scope"]).toMatch(/^row/);
  }
}
