import { LlmctlError } from "../../base/errors.ts";

/** One option in the `--help` of a llama.cpp program. */
export interface FlagEntry {
  /** All spellings that are not negations, in the text's order: `-fa`, `--flash-attn`. Never empty. */
  readonly names: readonly string[];
  /** Spellings that mean the opposite: `--no-mmap`. */
  readonly negations: readonly string[];
  /** The hints for its values: none, one, or two (`START`, `END`). */
  readonly hints: readonly string[];
  /** Every value that the text lists as allowed; absent when it lists none. */
  readonly choices?: readonly string[];
  /** The value can be several of the choices, joined by commas. */
  readonly list?: true;
  readonly default?: string;
  readonly env?: string;
  /** `common`, `sampling`, `speculative`, `example-specific`. */
  readonly section: string;
  /** Set for a flag that the program lists and refuses: its replacement, such as `--spec-draft-n-max`, or "". */
  readonly removed?: string;
  readonly deprecated?: true;
  readonly help: string;
}

/** One option of the text, split into lines and not parsed yet. */
interface RawEntry {
  readonly head: string;
  readonly section: string;
  readonly lines: string[];
}

/**
 * The help of an option starts at this column. Names that leave fewer than three spaces before it get a line of their
 * own. The same in every version since early 2025 (`common_arg::to_string` in llama.cpp's common/arg.cpp).
 */
const helpColumn = 40;
const gap = 3;

/**
 * Limits of a help text, since a profile can name any program. The texts of llama.cpp have 60 kB, 300 options, and at
 * most 3 kB for one option.
 */
export const helpLimits = {
  characters: 1 << 20,
  entries: 4000,
  /** The patterns for one option try each of its words, so its length is limited, too. */
  entryCharacters: 16 << 10,
} as const;

/**
 * Reads the `--help` text of llama-server or llama-cli.
 * @throws LlmctlError `help-unreadable` when the text does not come from a llama.cpp program or exceeds
 *   {@link helpLimits}.
 */
export function parseHelp(text: string): FlagEntry[] {
  if (text.length > helpLimits.characters) throw unreadable(`: it has more than ${helpLimits.characters} characters`);
  const raw = splitEntries(text);
  if (raw.length > helpLimits.entries) throw unreadable(`: it lists more than ${helpLimits.entries} options`);
  const isLong = raw.some((entry) => sizeOf(entry) > helpLimits.entryCharacters);
  if (isLong) throw unreadable(`: it has more than ${helpLimits.entryCharacters} characters for one option`);
  const entries = raw.map(parseEntry);
  // Many programs print lines that begin with a dash; every llama.cpp program that llmctl starts has --model.
  if (!entries.some((entry) => entry.names.includes("--model"))) throw unreadable();
  return entries;
}

function unreadable(why = ""): LlmctlError {
  return new LlmctlError("help-unreadable", `the --help text does not come from a llama.cpp program${why}`, {
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
  // Split at every line end that stops a dot in a pattern: a pattern that finds no end is tried again from each word.
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

/** `-ngl,  --gpu-layers, --n-gpu-layers N`: names up to the first one without a comma behind it, then the hints. */
function parseHead(head: string): { spellings: string[]; hints: string[] } {
  const match = /^(?<names>-[^\s,]+(?:, +-[^\s,]+)*)(?: (?<hints>.+))?$/.exec(head);
  const spellings = (match?.groups?.["names"] ?? head).split(/, +/);
  // A hint in angle brackets may hold spaces: <tensor name pattern>=<buffer type>,...
  const hints = match?.groups?.["hints"]?.match(/(?:<[^<>]*>|\S)+/g) ?? [];
  return { spellings, hints };
}

/**
 * Positive spellings come first, then the negative ones, with a short one (`-nkvo`) before its long one
 * (`--no-kv-offload`). In an option that has only `--no-` names (`--no-mmap` of old builds) they are no negations.
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
 * (`allowed values: …`, `- mmap: …`). Not from `<0|1>`: there the programs accept other numbers, too.
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
  // The default `auto` of --reasoning-format has no line of its own in the list.
  const unlisted =
    standard !== undefined && /^[a-z-]+$/.test(standard) && !bullets.includes(standard) ? [standard] : [];
  return { choices: [...bullets, ...unlisted] };
}
