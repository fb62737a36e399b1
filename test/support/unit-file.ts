/*
 * Reads unit files as systemd does, and containers as Podman's generator does. Written from their documentation, and
 * compared once with systemd 252 and the generator of Podman 6. Stricter than those: text that they would ignore or
 * replace is an error here.
 */

export interface UnitLine {
  readonly section: string;
  readonly key: string;
  readonly value: string;
}

/** The settings of a unit file in their order. Lines end at LF, CR and NUL. @see systemd.syntax(7) */
export function readUnitFile(text: string): UnitLine[] {
  const found: UnitLine[] = [];
  let section = "";
  let before = "";
  for (const line of text.split(/[\n\r\0]/)) {
    if (/[\p{Cs}\p{NChar}]/u.test(line)) throw new Error(`not text for systemd: ${JSON.stringify(line)}`);
    const trimmed = line.trimStart();
    // A comment inside a continued line is skipped and does not end it.
    if (/^[#;]/.test(trimmed)) continue;
    const whole = before + (before === "" ? trimmed : line);
    const isContinued = (/\\+$/.exec(whole)?.[0].length ?? 0) % 2 === 1;
    before = isContinued ? `${whole.slice(0, -1)} ` : "";
    if (isContinued || whole.trim() === "") continue;
    const header = /^\[([^\]]+)\]$/.exec(whole.trim())?.[1];
    const [, key, value] = /^([A-Za-z]+)=(.*)$/s.exec(whole.trim()) ?? [];
    if (header !== undefined) section = header;
    else if (key === undefined || value === undefined || section === "")
      throw new Error(`not a setting: ${JSON.stringify(whole)}`);
    else found.push({ section, key, value });
  }
  return found;
}

/** All values of a key. */
export function valuesOf(lines: readonly UnitLine[], section: string, key: string): string[] {
  return lines.filter((line) => line.section === section && line.key === key).map(({ value }) => value);
}

/** @param isPathList In lists of paths a backslash escapes only the next character. */
export function splitUnitWords(value: string, { isPathList = false } = {}): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = "";
  for (let index = 0; index < value.length; index += 1) {
    const char = value[index] ?? "";
    if (char === "\\") {
      const { text, length } = isPathList
        ? { text: value[index + 1] ?? "", length: 1 }
        : unescapeOne(value.slice(index + 1));
      word = (word ?? "") + text;
      index += length;
    } else if (quote !== "") {
      if (char === quote) quote = "";
      else word += char;
    } else if (char === '"' || char === "'") {
      quote = char;
      word ??= "";
    } else if (/[ \t\n\r]/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = (word ?? "") + char;
  }
  if (quote !== "") throw new Error(`a quote without an end: ${value}`);
  return word === undefined ? words : [...words, word];
}

const letters: Readonly<Record<string, string>> = {
  a: "\u0007",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  s: " ",
  "\\": "\\",
  '"': '"',
  "'": "'",
};

function unescapeOne(rest: string): { text: string; length: number } {
  const hex = /^(?:x([0-9a-f]{2})|u([0-9a-f]{4}))/i.exec(rest);
  const code = Number.parseInt(hex?.[1] ?? hex?.[2] ?? "", 16);
  // A single byte from 0x80 on is not text.
  if (hex !== null && code !== 0 && (hex[1] === undefined || code < 0x80))
    return { text: String.fromCodePoint(code), length: hex[0].length };
  const letter = letters[rest[0] ?? ""];
  if (letter === undefined) throw new Error(`an escape that systemd does not know: \\${rest.slice(0, 9)}`);
  return { text: letter, length: 1 };
}

/** Text after systemd's replacement of specifiers. */
export function expandSpecifiers(text: string): string {
  if (/%(?!%)/.test(text.replaceAll("%%", ""))) throw new Error(`a specifier: ${text}`);
  return text.replaceAll("%%", "%");
}

/** The arguments of a service's command, the program first. */
export function readExec(value: string): string[] {
  if (/(?:^|[ \t]);(?:[ \t]|$)/.test(withoutQuoted(value))) throw new Error(`a second command: ${value}`);
  return splitUnitWords(value).map((word, index) => {
    const text = expandSpecifiers(word);
    if (index === 0) return text;
    if (/\$[A-Za-z_{]/.test(text.replaceAll("$$", ""))) throw new Error(`a variable: ${text}`);
    return text.replaceAll("$$", "$");
  });
}

function withoutQuoted(value: string): string {
  return value.replaceAll(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/gs, "q");
}

/** The variables in the environment. */
export function readEnvironmentLines(values: readonly string[]): Record<string, string> {
  const words = values.flatMap((value) => splitUnitWords(value)).map(expandSpecifiers);
  return Object.fromEntries(words.map((word) => [word.slice(0, word.indexOf("=")), word.slice(word.indexOf("=") + 1)]));
}

/** Podman's command that the generator writes and systemd runs. */
export interface PodmanCommand {
  readonly env: Readonly<Record<string, string>>;
  /** Host path and path inside. */
  readonly mounts: readonly (readonly [string, string])[];
  readonly image: string;
  readonly args: readonly string[];
}

/**
 * A `.container` file as it runs: its words pass through the generator, and then through systemd.
 * @see podman-systemd.unit(5)
 */
export function runContainerFile(text: string): PodmanCommand {
  const lines = readUnitFile(text);
  const all = (key: string) => valuesOf(lines, "Container", key);
  const written = [
    ...all("Volume").flatMap((value) => ["-v", value]),
    ...all("Environment")
      .flatMap(splitForGenerator)
      .flatMap((word) => ["--env", word]),
    ...all("Mount")
      .flatMap(splitForGenerator)
      .flatMap((word) => ["--mount", word]),
    all("Image").at(-1) ?? "",
    ...splitForGenerator(all("Exec").at(-1) ?? ""),
  ];
  const words = readExec(`/usr/bin/podman ${written.map(writeForSystemd).join(" ")}`).slice(1);
  const command = { env: {} as Record<string, string>, mounts: [] as [string, string][] };
  while (words[0]?.startsWith("-") === true) {
    const [option = "", value = ""] = words.splice(0, 2);
    if (option === "-v") command.mounts.push(readVolume(value));
    else if (option === "--mount") command.mounts.push(readMount(value));
    else command.env[value.slice(0, value.indexOf("="))] = value.slice(value.indexOf("=") + 1);
  }
  const [image = "", ...args] = words;
  return { ...command, image, args };
}

/** The generator stops at an empty word. */
function splitForGenerator(value: string): string[] {
  const words = splitUnitWords(value);
  return words.includes("") ? words.slice(0, words.indexOf("")) : words;
}

/** Of the C1 characters it escapes only the first one, as a byte that is not text. */
function writeForSystemd(word: string): string {
  if (!/[\s\p{Cc}"'\\]/u.test(word)) return word;
  const escaped = word.replaceAll(/[\\"]/g, String.raw`\$&`);
  const toHex = (char: string) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`;
  return `"${escaped.replaceAll(/(?![\u0081-\u009f])\p{Cc}/gu, toHex)}"`;
}

function readVolume(value: string): [string, string] {
  const [source = "", target = "", options, ...more] = value.split(":");
  if (options !== "ro" || more.length > 0) throw new Error(`not a volume: ${value}`);
  return [source, target];
}

function readMount(value: string): [string, string] {
  const fields = [...value.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,"]*))/g)].map(
    ([, quoted, plain = ""]) => quoted?.replaceAll('""', '"') ?? plain,
  );
  const of = Object.fromEntries(
    fields.map((field) => [field.slice(0, field.indexOf("=")), field.slice(field.indexOf("=") + 1)]),
  );
  const { type, source = "", destination = "", ro, ...more } = of;
  if (type !== "bind" || ro !== "true" || Object.keys(more).length > 0) throw new Error(`not a mount: ${value}`);
  return [source, destination];
}
