import { codeOf } from "../base/text/control-characters.ts";

/** What systemd ends a line at, and what ought to steer no terminal that shows a unit. */
const escaped = /[\p{Cc}\p{Zl}\p{Zp}]/gu;
const named: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
const plainWord = /^[\w@%+=:,./-]+$/;

/**
 * One word of a command or of `Environment=`, which is read back as it is: nothing in it is a specifier or an escape.
 * Dollars are for the caller: only commands have variables.
 * @see systemd.syntax(7), "Quoting"
 */
export function quoteUnitWord(word: string): string {
  const plain = escapeSpecifiers(word);
  return plainWord.test(plain) ? plain : quotePlain(plain).replaceAll(escaped, escapeControl);
}

/**
 * As {@link quoteUnitWord}, for a list of paths, where systemd knows no escape but for the next character; none may hold a
 * control character.
 */
export function quotePath(path: string): string {
  const plain = escapeSpecifiers(path);
  return plainWord.test(plain) ? plain : quotePlain(plain);
}

/** As {@link quoteUnitWord}, for a word of a command, in which no variable is replaced. */
export function quoteArgument(word: string): string {
  return quoteUnitWord(word).replaceAll("$", "$$$$");
}

export function escapeSpecifiers(text: string): string {
  return text.replaceAll("%", "%%");
}

function quotePlain(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

/** A byte may be said by two hex digits, and any other character by four. */
function escapeControl(character: string): string {
  const code = codeOf(character);
  const hex = code.toString(16);
  return named[character] ?? (code < 0x80 ? `\\x${hex.padStart(2, "0")}` : `\\u${hex.padStart(4, "0")}`);
}

/** Undoes {@link quoteUnitWord} for each word of a line. */
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
