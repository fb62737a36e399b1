import { describe, expect, test } from "vitest";
import { pageStyle } from "../../../../../src/bench/report/page/page-style.ts";

// Contrast as WCAG 2 defines it: 4.5 for text, 3 for marks.

const palettes = [...pageStyle.matchAll(/:root \{[^}]*?(--paper[^}]*)\}/g)].map(([, text = ""]) =>
  Object.fromEntries(
    [...text.matchAll(/--([\w-]+): (#[0-9a-f]{6})/g)].map(([, name = "", colour = ""]) => [name, colour]),
  ),
);

describe.each([
  ["light", palettes[0]],
  ["dark", palettes[1]],
  ["printed", palettes[2]],
])("the %s palette", (_, palette = {}) => {
  test.each(["ink", "soft", "up", "down", "flat"])("has legible text in %s", (name) => {
    expect(contrast(palette[name], palette["paper"])).toBeGreaterThanOrEqual(4.5);
  });

  test("has legible text on the grounds of commands and warnings", () => {
    expect(contrast(palette["ink"], palette["tint"])).toBeGreaterThanOrEqual(4.5);
    expect(contrast(palette["ink"], palette["warn"])).toBeGreaterThanOrEqual(4.5);
  });

  test.each(["up", "down"])("has legible text on the strongest cell of %s", (name) => {
    expect(contrast(palette["ink"], mix(palette[name], palette["paper"], 0.45))).toBeGreaterThanOrEqual(4.5);
  });
});

test("paper is always light", () => {
  expect(palettes[2]).toEqual(palettes[0]);
});

function channels(colour = "#000000"): number[] {
  return [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
}

function mix(colour: string | undefined, ground: string | undefined, share: number): string {
  const below = channels(ground);
  const mixed = channels(colour).map((value, index) => Math.round(value * share + (below[index] ?? 0) * (1 - share)));
  return `#${mixed.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

function contrast(one: string | undefined, other: string | undefined): number {
  const [light = 0, dark = 0] = [luminance(one), luminance(other)].toSorted((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}

function luminance(colour: string | undefined): number {
  const [red = 0, green = 0, blue = 0] = channels(colour).map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
