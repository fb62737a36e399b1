/*
 * Foreign text comes from model files, profiles, the Hub, servers, the environment and the command line. Some of its
 * characters control a terminal, and others are invisible. Here they are made visible, as `\x1b`, `\u202e` or
 * `\U000e0041`. Letters of every script, marks and emoji stay as they are.
 */

/**
 * Scripts that need joiners for their spelling. Between letters of other scripts a joiner only makes two names look
 * alike.
 */
const joiningScripts = [
  ["Arabic", "Syriac", "Mandaic", "Nko", "Adlam", "Mongolian", "Phags_Pa", "Hanifi_Rohingya"],
  [
    "Devanagari",
    "Bengali",
    "Gurmukhi",
    "Gujarati",
    "Oriya",
    "Tamil",
    "Telugu",
    "Kannada",
    "Malayalam",
    "Sinhala",
    "Tibetan",
  ],
  ["Myanmar", "Khmer", "Balinese", "Javanese", "Sundanese", "Tai_Tham", "Cham", "Newa", "Tirhuta", "Grantha", "Chakma"],
]
  .flat()
  .map((script) => String.raw`\p{scx=${script}}`)
  .join("");

/** Flags of England, Scotland and Wales: the only emoji that tag characters spell. */
const tagFlags = ["gbeng", "gbsct", "gbwls"]
  .map(
    (region) =>
      `\u{1f3f4}${region.replace(/./g, (letter) => String.fromCodePoint(0xe0000 + letter.charCodeAt(0)))}\u{e007f}`,
  )
  .join("|");

/**
 * Invisible characters with a meaning after the characters before them. The patterns only look behind: the answer of a
 * model comes in pieces, and the characters that follow are not here yet.
 */
const meant = [
  tagFlags,
  String.raw`(?<=[${joiningScripts}]\p{M}{0,3})[\u200c\u200d]`,
  String.raw`(?<=\p{Extended_Pictographic}[\ufe0f\u{1f3fb}-\u{1f3ff}]?)\u200d`,
  String.raw`(?<=[\p{Emoji}\p{S}\p{sc=Han}\p{sc=Myanmar}\p{sc=Phags_Pa}])[\ufe00-\ufe0f]`,
  String.raw`(?<=\p{sc=Han})[\u{e0100}-\u{e01ef}]`,
  String.raw`(?<=\p{sc=Mongolian})[\u180b-\u180f]`,
].join("|");

/** Characters that are drawn although Unicode counts them as invisible. */
const drawn = String.raw`\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u{110bd}\u{110cd}\u{13430}-\u{1343f}`;

/**
 * Control and format characters, separators of lines and paragraphs, lone surrogates, and characters that are drawn as
 * nothing.
 */
const hidden = String.raw`(?![${drawn}])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}]`;

/** Compiled on first use: that takes longer than the rest of a short command, and nearly every text is harmless. */
let pattern: RegExp | undefined;
const harmless = /^[\t\n -~]*$/;
const harmlessLine = /^[ -~]*$/;

/** Short escapes of characters that stay as they are in a block of text. */
const shortNames: Readonly<Record<string, string>> = {
  "\n": String.raw`\n`,
  "\r": String.raw`\r`,
  "\t": String.raw`\t`,
};

/** A block of foreign text for people: newlines and tabs stay. */
export function printable(text: string): string {
  if (harmless.test(text)) return text;
  const show = (char: string) => (char === "\n" || char === "\t" ? char : describeChar(char));
  return escapeHidden(text.replaceAll("\r\n", "\n"), show);
}

/**
 * One line of foreign text for people: newlines and tabs are escaped as well, since they would end the line or look
 * like columns.
 */
export function printableLine(text: string): string {
  return escapeHidden(text, describeChar);
}

/** Long enough for a path; a name in a model file can have megabytes. */
const maxNameLength = 300;
/** A sentence with some names in it. */
export const maxSentenceLength = 2000;

/** A foreign name, on one line and shortened. */
export function printableName(text: string): string {
  return printableLine(shorten(text, maxNameLength));
}

/** A sentence that may contain foreign names. */
export function printableSentence(text: string): string {
  return printableLine(shorten(text, maxSentenceLength));
}

/** Cuts the middle: a sentence ends with what is wrong, and a path with the name of the file. */
export function shorten(text: string, most: number): string {
  if (text.length <= most) return text;
  const tail = Math.floor(most / 3);
  // Half of a surrogate pair would be shown as an escape.
  const start = text.slice(0, most - 1 - tail).replace(/[\ud800-\udbff]$/, "");
  return `${start}…${text.slice(-tail).replace(/^[\udc00-\udfff]/, "")}`;
}

/** JSON with the exact values; characters that control a terminal or are invisible are escaped. */
export function printableJson(value: unknown, indent?: number): string {
  const text = JSON.stringify(value, undefined, indent);
  return harmless.test(text) ? text : escapeHidden(text, (char) => (char === "\n" ? char : describeUnits(char)));
}

/**
 * Replaces each character that cannot be printed on one line.
 * @param show Gives the escape of a character, in the language of the text.
 */
export function escapeHidden(text: string, show: (char: string) => string): string {
  if (harmlessLine.test(text)) return text;
  pattern ??= new RegExp(`(${meant})|${hidden}`, "gu");
  return text.replace(pattern, (char: string, isMeant: string | undefined) =>
    isMeant === undefined ? show(char) : char,
  );
}

function describeChar(char: string): string {
  const code = char.codePointAt(0) ?? 0;
  const hex = code.toString(16);
  if (code < 0x100) return shortNames[char] ?? String.raw`\x${hex.padStart(2, "0")}`;
  return code < 0x10000 ? String.raw`\u${hex.padStart(4, "0")}` : String.raw`\U${hex.padStart(8, "0")}`;
}

/** As JSON writes a character. */
function describeUnits(char: string): string {
  return char
    .split("")
    .map((unit) => String.raw`\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
    .join("");
}
