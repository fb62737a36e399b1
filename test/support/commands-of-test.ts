/** How a command has ended; `exitCode` is missing after a signal. */
interface End {
  readonly exitCode?: number | undefined;
  readonly signal?: string | undefined;
  readonly stdout?: string | undefined;
  readonly stderr?: string | undefined;
}

/** Of a longer output the end is shown: it has the error. */
const maxShownLength = 4000;

let noted: (() => string)[] = [];

/**
 * Keeps a command for {@link describeCommands}.
 * @param ended never rejects, as a process of execa with `reject: false`
 * @param soFar its output while it runs
 */
export function noteCommand(words: readonly string[], ended: PromiseLike<End>, soFar = () => ""): void {
  let end: End | undefined;
  void ended.then((result) => (end = result));
  noted.push(() => describe(words, end, soFar()));
}

export function forgetCommands(): void {
  noted = [];
}

/** The commands since {@link forgetCommands}, with how each ended and what it wrote; empty without any. */
export function describeCommands(): string {
  return noted.map((one) => one()).join("\n");
}

function describe(words: readonly string[], end: End | undefined, soFar: string): string {
  const { exitCode, signal, stdout = soFar, stderr = "" } = end ?? {};
  const state = end === undefined ? "is still running" : `ended with ${signal ?? `exit code ${exitCode}`}`;
  const outputs = Object.entries({ stdout, stderr }).filter(([, text]) => text !== "");
  return [`$ ${words.join(" ")}`, `  ${state}`, ...outputs.map(([name, text]) => `  ${name}: ${shorten(text)}`)].join(
    "\n",
  );
}

function shorten(text: string): string {
  return text.length <= maxShownLength ? text : `[…] ${text.slice(-maxShownLength)}`;
}
