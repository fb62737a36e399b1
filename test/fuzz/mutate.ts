import type { Random } from "./random.ts";

/** Values of lengths, counts and types that are most often handled wrongly. */
const edges = [0, 1, 7, 8, 9, 12, 13, 127, 128, 255, 256, 65_535, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];

/** Texts that a reader or a terminal may misread. */
export const nasty: readonly string[] = [
  ["", " ", "\n", "\r\n", "\t", "\0", "\u001b[2J", "\u009b31m", "\u202e", "\ud800", "\ufeff", "\u2028", "é", "𝔾", "🦙"],
  [
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "~",
    "$HOME",
    "${env:HOME}",
    "${env:",
    "$(id)",
    "`id`",
    "%n",
    "-rf",
    "--help",
    "a\nb: c",
  ],
  [
    "null",
    "true",
    "~",
    "0x10",
    "1e999",
    "-1",
    "NaN",
    "9".repeat(40),
    "1_000",
    "[",
    "{",
    "]",
    "}",
    "&a",
    "*a",
    "!!js/function x",
    "<<",
  ],
  [
    "__proto__",
    "constructor",
    "toString",
    "x".repeat(300),
    "Q4_K_M-00001-of-99999.gguf",
    "http://[::1",
    "file:///etc/passwd",
  ],
].flat();

/** A copy with up to four changes, and sometimes without its end. */
export function mutateBytes(original: Buffer, random: Random): Buffer {
  const bytes = Buffer.from(original);
  for (let change = random.below(4); change >= 0; change -= 1) {
    const at = random.below(bytes.length);
    switch (random.below(4)) {
      case 0:
        bytes[at] = random.below(256);
        break;
      case 1:
        if (at + 4 <= bytes.length) bytes.writeUInt32LE(random.pick(edges), at);
        break;
      case 2:
        if (at + 8 <= bytes.length) bytes.writeBigUInt64BE(BigInt(random.pick(edges)) << BigInt(random.below(33)), at);
        break;
      default:
        bytes.copyWithin(at, random.below(bytes.length), random.below(bytes.length));
    }
  }
  return random.oneIn(4) ? bytes.subarray(0, random.below(bytes.length + 1)) : bytes;
}

/** A text with up to four of its parts doubled, moved, removed or replaced. */
export function mutateText(original: string, random: Random): string {
  let text = original;
  for (let change = random.below(4); change >= 0; change -= 1) text = changeOnce(text, random);
  return text;
}

function changeOnce(text: string, random: Random): string {
  const [a, b] = [random.below(text.length + 1), random.below(text.length + 1)].toSorted((x, y) => x - y) as [
    number,
    number,
  ];
  const part = text.slice(a, Math.min(b, a + 200));
  const rest = text.slice(a + part.length);
  switch (random.below(6)) {
    case 0:
      return text.slice(0, a) + rest;
    case 1:
      return text.slice(0, a) + part + part + rest;
    case 2:
      return text.slice(0, a) + random.pick(nasty) + rest;
    case 3:
      return text.slice(0, a) + String.fromCodePoint(random.below(0x3000)) + text.slice(a);
    case 4:
      return text.slice(0, a) + random.pick(nasty).repeat(random.below(50)) + text.slice(a);
    default:
      return text.slice(0, b) + part + text.slice(b);
  }
}

/** A JSON value with up to three of its parts replaced, removed or doubled. */
export function mutateJson(value: unknown, random: Random): unknown {
  let changed = value;
  for (let change = random.below(3); change >= 0; change -= 1) changed = changeInside(changed, random);
  return changed;
}

function changeInside(value: unknown, random: Random): unknown {
  if (typeof value !== "object" || value === null || random.oneIn(8)) return anyJson(random, 2);
  if (Array.isArray(value)) {
    const at = random.below(value.length + 1);
    if (random.oneIn(4)) return [...(value as unknown[]), ...(value as unknown[])];
    return replaceItem(value, at, random);
  }
  const keys = Object.keys(value);
  const key = random.oneIn(8) || keys.length === 0 ? random.pick(nasty) : random.pick(keys);
  const { [key]: old, ...others } = value as Record<string, unknown>;
  return random.oneIn(6) ? others : { ...others, [key]: changeInside(old, random) };
}

function replaceItem(list: readonly unknown[], at: number, random: Random): unknown[] {
  return [...list.slice(0, at), changeInside(list[at], random), ...list.slice(at + 1)];
}

const numbers = [0, -1, 1, 0.5, 1e308, -1e308, 2 ** 53, 99_999, 65_536, 4_294_967_296];

function anyJson(random: Random, depth: number): unknown {
  switch (random.below(depth === 0 ? 4 : 6)) {
    case 0:
      return random.pick(numbers);
    case 1:
      return random.pick(nasty);
    case 2:
      return null;
    case 3:
      return random.oneIn(2);
    case 4:
      return Array.from({ length: random.below(4) }, () => anyJson(random, depth - 1));
    default:
      return Object.fromEntries(
        Array.from({ length: random.below(4) }, () => [random.pick(nasty), anyJson(random, depth - 1)]),
      );
  }
}
