import { codeOf } from "../base/text/control-characters.ts";

/** Characters that end a line for systemd, or that could control a terminal that shows a unit. */
const escaped = /[\p{Cc}\p{Zl}\p{Zp}]/gu;
const named: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
const plainWord = /^[\w@%+=:,./-]+$/;

/**
 * Quotes one word of a command or of `Environment=` so that systemd reads it back unchanged: no specifiers, no escapes.
 * Does not escape `$`: only commands have variables, see {@link quoteArgument}.
 * @see systemd.syntax(7), "Quoting"
 */
export function quoteUnitWord(word: string): string {
  const plain = escapeSpecifiers(word);
  return plainWord.test(plain) ? plain : quotePlain(plain).replaceAll(escaped, escapeControl);
}

/**
 * Like {@link quoteUnitWord}, for a list of paths, where a backslash escapes only the next character. The path must not
 * contain control characters.
 */
export function quotePath(path: string): string {
  const plain = escapeSpecifiers(path);
  return plainWord.test(plain) ? plain : quotePlain(plain);
}

/** Like {@link quoteUnitWord}, for an argument of a command, in which `$` must not start a variable. */
export function quoteArgument(word: string): string {
  return quoteUnitWord(word).replaceAll("$", "$$$$");
}

export function escapeSpecifiers(text: string): string {
  return text.replaceAll("%", "%%");
}

function quotePlain(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

/** ASCII characters as `\xHH`, all others as `\uHHHH`. */
function escapeControl(character: string): string {
  const code = codeOf(character);
  const hex = code.toString(16);
  return named[character] ?? (code < 0x80 ? `\\x${hex.padStart(2, "0")}` : `\\u${hex.padStart(4, "0")}`);
}

/** Splits a line into words and undoes {@link quoteUnitWord}. */
export function splitWords(line: string): string[] {
  return [...line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(([, quoted, plain = ""]) => {
    const word = quoted?.replaceAll(/\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|(.))/g, unescape) ?? plain;
    return word.replaceAll("%%", "%");
  });
}

const meant: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t" };

function unescape(_: string, byte: string | undefined, unit: string | undefined, char = ""): string {
  const hex = byte ?? unit;
  return hex === undefined ? (meant[char] ?? char) : String.fromCodePoint(Number.parseInt(hex, 16));
}
