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

const prompts = ["an otter", "a fox", "an owl", "a bear"].map((hero) => `Tell me a story about ${hero}.`);
const [storyPrompt = ""] = prompts;
/** How often each server gets each prompt. They take turns, so that other load of the machine slows both alike. */
const rounds = 6;

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
  const drafted = await bringUp("demo");
  await tellStory(drafted);
  const plain = await bringUp("demo-plain");
  await compare(drafted, plain);
  if (keep && started.delete("demo")) kept = drafted;
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
      styleText("dim", `${Math.round(timings.predicted_per_second)} tokens/s, ${describeAcceptance([timings])}`),
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

/** Compares greedy answers to the same prompts: drafting changes only the speed, not the texts. */
async function compare(drafted: string, plain: string): Promise<void> {
  say(`Tokens per second, median of ${rounds * prompts.length} answers each`);
  const results = { drafted: [] as Timings[], plain: [] as Timings[] };
  for (let round = 0; round <= rounds; round += 1) {
    for (const prompt of prompts) {
      const [withDraft, without] = [await measure(drafted, prompt), await measure(plain, prompt)];
      if (round === 0) continue; // the first answers pay for caches that are still cold
      results.drafted.push(withDraft);
      results.plain.push(without);
    }
  }
  const [fast, slow] = [medianSpeed(results.drafted), medianSpeed(results.plain)];
  console.log(`  without drafting  ${slow.toFixed(0).padStart(6)}`);
  console.log(`  with drafting     ${fast.toFixed(0).padStart(6)}   ${describeAcceptance(results.drafted)}`);
  console.log(describeGain(fast / slow));
}

async function measure(url: string, prompt: string): Promise<Timings> {
  const answer = await ask(url, {
    messages: [{ role: "user", content: prompt }],
    temperature: 0,
    max_tokens: 256,
    cache_prompt: false,
  });
  return ((await answer.json()) as { timings: Timings }).timings;
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

function medianSpeed(all: readonly Timings[]): number {
  const sorted = all.map((timings) => timings.predicted_per_second).toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function describeAcceptance(all: readonly Timings[]): string {
  const drafts = all.reduce((sum, timings) => sum + (timings.draft_n ?? 0), 0);
  const accepted = all.reduce((sum, timings) => sum + (timings.draft_n_accepted ?? 0), 0);
  return drafts === 0
    ? "nothing was drafted"
    : `${accepted} of ${drafts} drafted tokens accepted (${Math.round((100 * accepted) / drafts)} %)`;
}

function describeGain(ratio: number): string {
  const times = `With the draft it is ${ratio.toFixed(2)} times as fast here.`;
  return ratio > 1
    ? times
    : `${times}\nA target this small is as fast as its draft. Drafting pays off when the target is many times larger.`;
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
