import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from "node:fs";
import { LlmctlError, type Problem, systemErrorCode } from "../../base/errors.ts";
import { quoteForShell } from "../../base/text/quote-for-shell.ts";
import type { FlagCatalogue } from "../ask/flag-catalogue.ts";

/** A key has some 64 characters. A larger file was named by mistake: perhaps it is a model. */
const maxFileBytes = 1 << 20;

/**
 * llama-server refuses a request with a header line above 8192 bytes (`CPPHTTPLIB_HEADER_MAX_LENGTH` of cpp-httplib),
 * and the line with the key has a few bytes more than the key.
 */
const maxKeyBytes = 8000;

interface KeyFileOptions {
  /** The place of the key `server.api_key_file` in the profile. */
  readonly at: string;
  /** False for builds before spring 2026, which read a line that begins with a hash as a key. */
  readonly hasComments: boolean;
}

/**
 * The keys that llama-server would read from a file: each line is a key, except empty lines and comments. A file
 * without keys would leave the server open to everybody, and a key that no client can send would lock all clients out.
 * @throws LlmctlError `api-key-file-missing`, `api-key-file-unreadable`, or `api-keys-unusable` with every line that is
 *   wrong. No message quotes the file.
 * @see llama.cpp common/arg.cpp, `--api-key-file`
 */
export function readApiKeys(path: string, { at, hasComments }: KeyFileOptions): readonly string[] {
  const bytes = readKeyFile(path, at);
  const lines = splitLines(bytes);
  const faults = findFaults(bytes, lines, hasComments);
  const keys = lines.filter((line) => isKey(line));
  const problems = [...faults].map(([fault, numbers]) => toProblem(path, fault, numbers));
  if (keys.length === 0 && problems.length === 0) problems.push(noKey(path, at));
  const [first, ...more] = problems;
  if (first === undefined) return keys;
  const { message, ...where } = first;
  throw new LlmctlError("api-keys-unusable", message, { exit: "config", ...where }, more);
}

/** The first key of a file, for our own requests; undefined when the file has none or cannot be read. Never throws. */
export function readApiKey(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    // Tolerant of lines that a start would refuse: the file may have changed since the server read it.
    return splitLines(readKeyFile(path, ""))
      .map((line) => line.trim())
      .find((line) => isKey(line) && isSendable(line));
  } catch (error) {
    if (error instanceof LlmctlError) return undefined;
    throw error;
  }
}

/** Whether a line that begins with a hash is a comment for a build, as its help says; for others it is a key. */
export function hasKeyComments(catalogue: FlagCatalogue): boolean {
  return catalogue.find("--api-key-file")?.entry.help.includes("comment") ?? true;
}

/** The commands that make a key file. */
export function howToMakeKeyFile(path: string): string {
  const file = quoteForShell(path);
  return `openssl rand -hex 32 > ${file}; chmod 600 ${file}`;
}

/** Never waits: a pipe or a device is opened without blocking, and refused. */
function readKeyFile(path: string, at: string): Buffer {
  let file: number | undefined;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = fstatSync(file);
    if (!stats.isFile()) throw notAFile(path, at, stats);
    if (stats.size > maxFileBytes) throw tooLarge(path, at, stats);
    return readFileSync(file);
  } catch (error) {
    throw error instanceof LlmctlError ? error : explainUnreadable(path, at, error);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function notAFile(path: string, at: string, stats: Stats): LlmctlError {
  const example = stats.isDirectory() ? `${path}/api-keys` : "FILE";
  const what = stats.isDirectory() ? "a folder" : stats.isFIFO() ? "a pipe" : "not a regular file";
  return new LlmctlError("api-key-file-unreadable", `"server.api_key_file" is ${what}: ${path}`, {
    exit: "missingFile",
    at,
    fix: `name a file with one key per line; to make one: ${howToMakeKeyFile(example)}`,
  });
}

function tooLarge(path: string, at: string, { size }: Stats): LlmctlError {
  return new LlmctlError(
    "api-keys-unusable",
    `"server.api_key_file" has ${size} bytes, too many for a file of keys: ${path}`,
    {
      exit: "config",
      at,
      fix: "name a file with one key per line",
    },
  );
}

function explainUnreadable(path: string, at: string, cause: unknown): LlmctlError {
  const code = systemErrorCode(cause);
  if (code === "EACCES" || code === "EPERM") {
    return new LlmctlError("api-key-file-unreadable", `no permission to read "server.api_key_file": ${path}`, {
      exit: "permission",
      at,
      fix: `give the file to the user that runs llmctl: sudo chown "$USER" ${quoteForShell(path)}`,
      cause,
    });
  }
  if (code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP" || code === "ENAMETOOLONG") {
    return new LlmctlError("api-key-file-missing", `"server.api_key_file" does not exist: ${path}`, {
      exit: "missingFile",
      at,
      fix: `make one: ${howToMakeKeyFile(path)}`,
      cause,
    });
  }
  return new LlmctlError("api-key-file-unreadable", `cannot read "server.api_key_file": ${String(cause)}`, {
    exit: "io",
    at,
    cause,
  });
}

/** Each byte becomes one character, since llama-server compares bytes. */
function splitLines(bytes: Buffer): string[] {
  return bytes.toString("latin1").split("\n");
}

function isKey(line: string): boolean {
  return line !== "" && !line.startsWith("#");
}

function isSendable(line: string): boolean {
  return /^[\u0020-\u007e]+$/.test(line);
}

/** A fault of a line; `faults` has its text and fix. */
type Fault = keyof typeof faults;

const faults = {
  utf16: { what: "is UTF-16, from", fix: "save it as plain ASCII or UTF-8 text" },
  mark: { what: "begins with a byte order mark (BOM), which would be part of the key on", fix: "save it without one" },
  carriageReturn: {
    what: "has a carriage return (CR) at the end of",
    fix: String.raw`save it with line feeds alone: sed -i 's/\r$//' FILE`,
  },
  blank: {
    what: "has a blank at the start or the end of",
    fix: "remove it: it would be part of the key, and no client can send it",
  },
  control: { what: "has a control character in", fix: "remove it: no client can send it" },
  comment: { what: "has a comment, which this build of llama.cpp reads as a key, on", fix: "remove it" },
  commentAfterKey: {
    what: "has a comment after the key, which would be part of the key, on",
    fix: "write the comment on a separate line that begins with the hash",
  },
  quoted: { what: "has quotes around the key, which would be part of the key, on", fix: "remove the quotes" },
  scheme: { what: 'has "Bearer" before the key, which would be part of the key, on', fix: "write only the key" },
  ascii: {
    what: "has a non-ASCII character in",
    fix: "use letters, digits and ASCII signs: each client sends other characters differently",
  },
  escape: {
    what: "has a percent sign with two hexadecimal digits, which some builds decode, in",
    fix: "use another key",
  },
  long: {
    what: `has more than ${maxKeyBytes} bytes in`,
    fix: "use a shorter key: llama-server refuses requests with a key of that length",
  },
} as const;

function findFaults(bytes: Buffer, lines: readonly string[], hasComments: boolean): Map<Fault, number[]> {
  const found = new Map<Fault, number[]>();
  const add = (fault: Fault, line: number) => found.set(fault, [...(found.get(fault) ?? []), line]);
  const start = bytes.toString("latin1", 0, 3);
  if (/^(?:\u00ff\u00fe|\u00fe\u00ff)/.test(start)) return new Map([["utf16", [1]]]);
  const isMarked = start === "\u00ef\u00bb\u00bf";
  if (isMarked) add("mark", 1);
  for (const [index, line] of lines.entries()) {
    const fault = findFault(isMarked && index === 0 ? line.slice(3) : line, hasComments);
    if (fault !== undefined) add(fault, index + 1);
  }
  return found;
}

function findFault(line: string, hasComments: boolean): Fault | undefined {
  if (line === "") return undefined;
  if (line.startsWith("#")) return hasComments ? undefined : "comment";
  if (line.endsWith("\r")) return "carriageReturn";
  if (/^[ \t]|[ \t]$/.test(line)) return "blank";
  // oxlint-disable-next-line no-control-regex -- control characters are what this looks for
  if (/[\u0000-\u001f\u007f]/.test(line)) return "control";
  if (/ #/.test(line)) return "commentAfterKey";
  if (/^(["']).*\1$/.test(line)) return "quoted";
  if (/^bearer /i.test(line)) return "scheme";
  if (!isSendable(line)) return "ascii";
  if (/%[\da-f]{2}/i.test(line)) return "escape";
  return line.length > maxKeyBytes ? "long" : undefined;
}

/** Most line numbers in one message. */
const mostNumbers = 5;

function toProblem(path: string, fault: Fault, lines: readonly number[]): Problem {
  const { what, fix } = faults[fault];
  const more = lines.length > mostNumbers ? ` and ${lines.length - mostNumbers} more` : "";
  return {
    message: `"server.api_key_file" ${what} line ${lines.slice(0, mostNumbers).join(", ")}${more}`,
    at: `${path}:${lines[0]}`,
    fix: fix.replace("FILE", quoteForShell(path)),
  };
}

function noKey(path: string, at: string): Problem {
  return {
    message: `"server.api_key_file" holds no key, and without keys llama-server serves everybody: ${path}`,
    at,
    fix: `write a key to it: ${howToMakeKeyFile(path)}`,
  };
}
