import { LlmctlError } from "../../base/errors.ts";

/** One option of a llama.cpp program, as its `--help` tells it. */
export interface FlagEntry {
  /** All spellings that say the thing itself, in the text's order: `-fa`, `--flash-attn`. Never empty. */
  readonly names: readonly string[];
  /** Spellings that say its opposite: `--no-mmap`. */
  readonly negations: readonly string[];
  /** Hints of the values it takes: none, one, or two (`START`, `END`). */
  readonly hints: readonly string[];
  /** Every value that the text lists as allowed; absent where it lists none. */
  readonly choices?: readonly string[];
  /** Several of the choices can be given, joined by commas. */
  readonly list?: true;
  readonly default?: string;
  readonly env?: string;
  /** `common`, `sampling`, `speculative`, `example-specific`. */
  readonly section: string;
  /** Still listed, but refused by the program: what it names instead, such as `--spec-draft-n-max`. */
  readonly removed?: string;
  readonly deprecated?: true;
  readonly help: string;
}

/** The names, the hint and the help of one option, before anything in them is understood. */
interface RawEntry {
  readonly head: string;
  readonly section: string;
  readonly lines: string[];
}

/**
 * Help text starts at this column; a head that does not leave three spaces before it stands on a line of its own. The
 * same in every version since early 2025 (`common_arg::to_string` in llama.cpp's common/arg.cpp).
 */
const helpColumn = 40;
const gap = 3;

/**
 * What a help text may be: it is what any program says that a profile names. Those of llama.cpp have 60 kB, 300
 * options, and 3 kB for one.
 */
export const helpLimits = {
  characters: 1 << 20,
  entries: 4000,
  /** What an option's patterns look through, which try each word of it. */
  entryCharacters: 16 << 10,
} as const;

/**
 * Reads the `--help` text of llama-server or llama-cli.
 * @throws LlmctlError `help-unreadable` when the text is not that of a llama.cpp program, or beyond {@link helpLimits}.
 */
export function parseHelp(text: string): FlagEntry[] {
  if (text.length > helpLimits.characters) throw unreadable(`: it has more than ${helpLimits.characters} characters`);
  const raw = splitEntries(text);
  if (raw.length > helpLimits.entries) throw unreadable(`: it lists more than ${helpLimits.entries} options`);
  const isLong = raw.some((entry) => sizeOf(entry) > helpLimits.entryCharacters);
  if (isLong) throw unreadable(`: it has more than ${helpLimits.entryCharacters} characters for one option`);
  const entries = raw.map(parseEntry);
  // Any program may print lines that begin with a dash; every llama.cpp program that we start has --model.
  if (!entries.some((entry) => entry.names.includes("--model"))) throw unreadable();
  return entries;
}

function unreadable(why = ""): LlmctlError {
  return new LlmctlError("help-unreadable", `the --help text is not that of a llama.cpp program${why}`, {
    exit: "missingFile",
    fix: { before: "name a llama-server of llama.cpp, or run", run: ["build"] },
  });
}

function sizeOf({ head, lines }: RawEntry): number {
  return lines.reduce((sum, line) => sum + line.length + 1, head.length);
}

function splitEntries(text: string): RawEntry[] {
  const entries: RawEntry[] = [];
  let section = "";
  let current: RawEntry | undefined;
  // At every line end that a pattern's dot stops at: a pattern that finds no end is tried again from each of its words.
  for (const line of text.split(/\r\n|[\n\r\u2028\u2029]/)) {
    const title = /^-{5} (.+?)(?: params)? -{5}$/.exec(line)?.[1];
    if (title !== undefined) {
      section = title;
      current = undefined;
    } else if (/^-{1,2}[A-Za-z]/.test(line)) {
      const shared = line.slice(helpColumn - gap, helpColumn).trim() === "" && line.length >= helpColumn;
      current = shared
        ? { head: line.slice(0, helpColumn).trimEnd(), section, lines: [line.slice(helpColumn)] }
        : { head: line.trimEnd(), section, lines: [] };
      entries.push(current);
    } else if (line.startsWith(" ".repeat(helpColumn))) {
      current?.lines.push(line.slice(helpColumn));
    } else if (line.trim() !== "") {
      current = undefined;
    }
  }
  return entries;
}

function parseEntry({ head, section, lines }: RawEntry): FlagEntry {
  const { spellings, hints } = parseHead(head);
  const env = lines.map((line) => /^\(env: (\w+)\)$/.exec(line.trim())?.[1]).find((name) => name !== undefined);
  const shown = lines.filter((line) => !/^\(env: \w+\)$/.test(line.trim())).map((line) => line.trimEnd());
  const help = shown.join("\n").trim();
  const flat = shown.join(" ").replaceAll(/ +/g, " ").trim();
  const standard = parseDefault(flat);
  const removed = /^the argument has been removed\.? ?(?:use )?(.*)$/.exec(flat)?.[1];
  return {
    ...splitNegations(spellings),
    hints,
    ...parseChoices(hints, shown, flat, standard),
    ...(standard === undefined ? {} : { default: standard }),
    ...(env === undefined ? {} : { env }),
    section,
    ...(removed === undefined ? {} : { removed }),
    ...(flat.includes("DEPRECATED") ? { deprecated: true as const } : {}),
    help,
  };
}

/** `-ngl,  --gpu-layers, --n-gpu-layers N`: names up to the first that no comma follows, then the hints. */
function parseHead(head: string): { spellings: string[]; hints: string[] } {
  const match = /^(?<names>-[^\s,]+(?:, +-[^\s,]+)*)(?: (?<hints>.+))?$/.exec(head);
  const spellings = (match?.groups?.["names"] ?? head).split(/, +/);
  // A hint in angle brackets may hold spaces: <tensor name pattern>=<buffer type>,...
  const hints = match?.groups?.["hints"]?.match(/(?:<[^<>]*>|\S)+/g) ?? [];
  return { spellings, hints };
}

/**
 * Positive spellings come first, then the negative ones, of which a short one (`-nkvo`) stands before its long one
 * (`--no-kv-offload`). An option that has only a `--no-` name (old builds' `--no-mmap`) is no negation of anything.
 */
function splitNegations(spellings: readonly string[]): { names: string[]; negations: string[] } {
  const isNegative = (name: string | undefined) => name?.startsWith("--no-") ?? false;
  const firstLong = spellings.findIndex((name) => name.startsWith("--"));
  let cut = spellings.findIndex(isNegative);
  if (cut < 0 || cut <= firstLong) return { names: [...spellings], negations: [] };
  if (spellings[cut - 1]?.startsWith("-n") && cut - 1 > firstLong) cut -= 1;
  return { names: spellings.slice(0, cut), negations: spellings.slice(cut) };
}

/** `(default: -1, -1 = infinity)` is `-1`; `(…, default: 'auto')` is `auto`; `- layer (default): …` is `layer`. */
function parseDefault(flat: string): string | undefined {
  const marked = /- ([\w.+-]+) \(default\)/.exec(flat)?.[1];
  if (marked !== undefined) return marked;
  const after = /\bdefault: ?(.*)$/.exec(flat)?.[1];
  if (after === undefined) return undefined;
  const quoted = /^(['"])(.*?)\1/.exec(after)?.[2];
  if (quoted !== undefined) return quoted;
  const inside = after.slice(0, closingParenthesis(after));
  const number = /^-?\d+(?:\.\d+)?(?=[,;] )/.exec(inside)?.[0];
  return number ?? inside.replace(/ (?:=|-) .*$/, "").trim();
}

function closingParenthesis(text: string): number {
  let depth = 0;
  for (let index = 0; index < text.length; index += 1) {
    if (text[index] === "(") depth += 1;
    if (text[index] === ")" && (depth -= 1) < 0) return index;
  }
  return text.length;
}

/**
 * The allowed values, from the hint (`[on|off|auto]`, `{none,linear,yarn}`, `none,draft-simple,…`) or the help
 * (`allowed values: …`, `- mmap: …`). Not from `<0|1>`: the programs take other numbers there too.
 */
function parseChoices(
  hints: readonly string[],
  lines: readonly string[],
  flat: string,
  standard: string | undefined,
): { choices?: string[]; list?: true } {
  const [hint] = hints;
  if (hint === undefined || hints.length > 1) return {};
  const bracketed = /^(?:\[([\w.+-]+(?:\|[\w.+-]+)+)\]|\{([\w.+-]+(?:,[\w.+-]+)+)\})$/.exec(hint);
  const inBrackets = bracketed?.[1]?.split("|") ?? bracketed?.[2]?.split(",");
  if (inBrackets !== undefined) return { choices: inBrackets };
  if (/^[a-z][a-z0-9-]*(?:,[a-z][a-z0-9-]*)+$/.test(hint)) return { choices: hint.split(","), list: true };
  const named = /allowed values: ([\w.+-]+(?:, [\w.+-]+)*)/.exec(flat)?.[1];
  if (named !== undefined) return { choices: named.split(", ") };
  const bullets = lines
    .map((line) => /^- ([a-z][\w.+-]*)(?: \(default\))?: /.exec(line)?.[1])
    .filter((word) => word !== undefined);
  if (bullets.length < 2) return {};
  // --reasoning-format takes its default `auto`, which has no line of its own.
  const unlisted =
    standard !== undefined && /^[a-z-]+$/.test(standard) && !bullets.includes(standard) ? [standard] : [];
  return { choices: [...bullets, ...unlisted] };
}
