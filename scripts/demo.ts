/**
 * `npm run demo`: builds llama.cpp if there is no build, serves the demo pair, streams a story, and measures what
 * drafting brings. Everything goes through the built command line, as a user would type it. `-- --keep` leaves the demo
 * profile running.
 */
import { fileURLToPath } from "node:url";
import { parseArgs, styleText } from "node:util";
import { execa, ExecaError } from "execa";
import { buildsPrefix } from "../test/support/llama-builds.ts";

const program = fileURLToPath(new URL("../dist/main.js", import.meta.url));
const { keep } = parseArgs({ options: { keep: { type: "boolean", default: false } } }).values;

const storyPrompt = "Tell me a story about an otter.";

/** The part of a completion's `timings` that matters here; without drafting it has no draft counters. */
interface Timings {
  readonly predicted_per_second: number;
  readonly draft_n?: number;
  readonly draft_n_accepted?: number;
}

const interrupted = new AbortController();
/** The profiles that this demo has started and must stop. */
const started = new Set<string>();
/** The URL of the profile that goes on running with `--keep`. */
let kept: string | undefined;

async function demo(): Promise<void> {
  await ensureBuild();
  const url = await bringUp("demo");
  await tellStory(url);
  say("llmctl bench demo --for 15s");
  await run("bench", "demo", "--for", "15s", "--fresh");
  console.log(
    "\nA target this small is about as fast as its draft. Drafting pays where the target is many times larger.",
  );
  if (keep && started.delete("demo")) kept = url;
}

async function ensureBuild(): Promise<void> {
  const { builds } = JSON.parse(await read("build", "--list", "--json")) as { builds: readonly unknown[] };
  if (builds.length > 0) return;
  say("There is no llama.cpp yet. Building it takes some minutes.");
  // The same build as the tests': whichever comes first compiles it.
  process.env["LLMCTL_BUILDS_FROM"] = buildsPrefix();
  await run("build", "--portable", "--rpc");
}

/** Starts a profile, unless it runs. @returns its URL */
async function bringUp(name: string): Promise<string> {
  say(`llmctl up ${name} -d`);
  if (await findUrl(name)) console.log(`"${name}" was running before this demo: it will be left running`);
  else started.add(name);
  await run("up", name, "-d");
  const url = await findUrl(name);
  if (url === undefined) throw new Error(`"${name}" is up but has no URL`);
  return url;
}

async function findUrl(name: string): Promise<string | undefined> {
  const listed = JSON.parse(await read("ps", "--json")) as readonly {
    name: string;
    presence: string;
    url: string | null;
  }[];
  return listed.find((one) => one.name === name && one.presence === "live")?.url ?? undefined;
}

async function tellStory(url: string): Promise<void> {
  say(storyPrompt);
  let timings: Timings | undefined;
  for await (const event of stream(url, storyPrompt)) {
    process.stdout.write(event.choices[0]?.delta.content ?? "");
    timings = event.timings ?? timings;
  }
  console.log("\n");
  if (timings !== undefined) {
    console.log(
      styleText("dim", `${Math.round(timings.predicted_per_second)} tokens/s, ${describeAcceptance(timings)}`),
    );
  }
}

interface StreamEvent {
  readonly choices: readonly { readonly delta: { readonly content?: string | null } }[];
  readonly timings?: Timings;
}

/** The events of a chat answer as they arrive. */
async function* stream(url: string, prompt: string): AsyncGenerator<StreamEvent> {
  const { body } = await ask(url, { messages: [{ role: "user", content: prompt }], stream: true });
  let rest = "";
  for await (const text of body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line.startsWith("data: {")) yield JSON.parse(line.slice("data: ".length)) as StreamEvent;
    }
  }
}

async function ask(url: string, body: unknown): Promise<Response> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    body: JSON.stringify(body),
    signal: interrupted.signal,
  });
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  return response;
}

function describeAcceptance({ draft_n: drafted = 0, draft_n_accepted: accepted = 0 }: Timings): string {
  return drafted === 0
    ? "nothing was drafted"
    : `${accepted} of ${drafted} drafted tokens accepted (${Math.round((100 * accepted) / drafted)} %)`;
}

function printHints(url: string): void {
  say("The demo profile goes on running. Try:");
  console.log(`  curl ${url}/v1/chat/completions -d '{"messages": [{"role": "user", "content": "${storyPrompt}"}]}'`);
  console.log("  npx llmctl ps\n  npx llmctl down demo");
}

function say(text: string): void {
  console.log(`\n${styleText("bold", text)}`);
}

/** Runs llmctl on this terminal. @throws ExecaError when it fails; llmctl has printed the reason. */
async function run(...args: string[]): Promise<void> {
  await execa(process.execPath, [program, ...args], { stdio: "inherit" });
  interrupted.signal.throwIfAborted();
}

async function read(...args: string[]): Promise<string> {
  return (await execa(process.execPath, [program, ...args], { stderr: "inherit" })).stdout;
}

/** Stops a profile. It may not run yet, if the demo was interrupted early. */
async function takeDown(name: string): Promise<void> {
  say(`llmctl down ${name}`);
  const notRunning = 3;
  const { exitCode, stdout, stderr } = await execa(process.execPath, [program, "down", name], { reject: false });
  if (exitCode !== notRunning) console.log([stdout, stderr].filter((text) => text !== "").join("\n"));
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => interrupted.abort());
try {
  await demo();
} catch (error) {
  if (interrupted.signal.aborted) process.exitCode = 130;
  else if (error instanceof ExecaError) process.exitCode = error.exitCode ?? 1;
  else throw error;
} finally {
  for (const name of started) await takeDown(name);
}
if (kept !== undefined) printHints(kept);
