import { LlmctlError } from "../../src/base/errors.ts";
import { parseDevices } from "../../src/llama/ask/devices.ts";
import { explainExit } from "../../src/llama/server/exit-cause.ts";
import { parseMemory } from "../../src/llama/ask/fit-params.ts";
import { parseHelp } from "../../src/llama/ask/help-text.ts";
import { parseLogTime } from "../../src/supervisor/log/log-time.ts";
import { parseFlagRefusal } from "../../src/llama/ask/refusal-text.ts";
import { parseDraftCounters } from "../../src/llama/server/draft-counters.ts";
import { DraftTraceParser } from "../../src/llama/server/draft-trace.ts";
import { parseLoadLine } from "../../src/llama/server/server-protocol.ts";
import { DraftGuard } from "../../src/llama/traffic/draft-guard.ts";
import { parseTraffic } from "../../src/llama/traffic/traffic-lines.ts";
import { parseEventLine } from "../../src/supervisor/log/event-log.ts";
import { parseRunMarker } from "../../src/supervisor/log/server-log.ts";
import { readHelp } from "../support/llama-help.ts";
import type { Fuzzer } from "./fuzzer.ts";
import { mutateText, nasty } from "./mutate.ts";
import type { Random } from "./random.ts";

const samples = [
  "0.12.345.678 I srv  llama_server: listening on http://127.0.0.1:8080 - starting the main loop",
  "main: server is listening on unix:///run/coder.sock",
  "srv  log_server_r: request: GET /health 127.0.0.1 503",
  "srv    load_model: model loaded",
  "prompt eval time =      12.34 ms /    10 tokens (    1.23 ms per token,   810.37 tokens per second)",
  "       eval time =     123.45 ms /    20 tokens (    6.17 ms per token,   162.01 tokens per second)",
  "0.00.1 I slot launch_slot_: id  0 | task 7 | processing task, is_child = 0",
  "0.00.1 I slot print_timing: id  0 | task 7 |        eval time =     123.45 ms /    20 tokens",
  "slot print_timing: id  0 | task 7 | draft acceptance = 0.57576 (   19 accepted /    33 generated), mean len =  2.58",
  "slot      release: id  0 | task 7 | stop processing: n_tokens = 79, truncated = 0",
  "draft acceptance rate = 0.57576 (   19 accepted /    33 generated), mean len =  2.58",
  "--- llmctl: run 3, 2026-11-24T10:18:58.321Z: demo, b1",
  "2026-01-01T00:00:00.000Z +24.500 ready - ready after 3.1 s",
  "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 19456.00 MiB on device 0: cudaMalloc failed: out of memory",
  'error while handling argument "--ctx-size": stoi',
  "error: invalid argument: --ctx-size-draft",
  [
    "0.00.150.075 D slot process_toke: id  0 | task 0 | n_gen = 1, n_remaining = 23, next token:   340 'Once'",
    "0.00.150.083 D slot get_n_draft_: id  0 | task 0 | max possible draft: 22",
    "0.00.150.222 D spec        draft:  - seq_id 0, draft candidate   0, pos   0:    344 (   1.000) ' upon'",
    "0.00.150.530 D slot handle_last_: id  0 | task 0 | generate_draft: id=340, #tokens=16, #draft=1, pos_next=16",
    "0.00.151.779 D slot   operator(): id  0 | task 0 | add accepted tokens: sampled=223, ids.size=2, n_draft=1",
    "0.00.151.782 D slot process_toke: id  0 | task 0 | n_gen = 2, n_remaining = 22, next token:   344 ' upon'",
    "0.00.162.484 I slot      release: id  0 | task 0 | stop processing: n_tokens = 39, truncated = 0",
  ].join("\n"),
  "llamacpp:spec_decode_num_drafts_total 4\nllamacpp:spec_decode_num_draft_tokens_total 8\nllamacpp:" +
    'spec_decode_num_accepted_tokens_total 3\nllamacpp:spec_decode_num_accepted_tokens_per_pos_total{position="1"} 3',
  "Available devices:\n  CUDA0: NVIDIA GeForce RTX 4090 (24210 MiB, 23875 MiB free)",
  "CUDA0 1024 512 256\nHost 10 20 30",
  "llama_model_load: error loading model: tensor 'blk.0.attn_q.weight' data is not within the file bounds, model " +
    "is corrupted or incomplete",
];
const helps = ["llama-server-b7698", "llama-server-v0.5.0"].map(readHelp);
/** Long repetitions make a bad pattern slow. */
const repeated = ["<a ", "<a>", "(", "[", " ", "\t", "-", "--x ", ",", "{a,b}", "eval time = ", "1", "./", "\n", "a,"];

/** Lines and texts that llama.cpp's programs print: every parsed number is finite, every port is valid. */
export const linesFuzzer: Fuzzer = {
  name: "lines",
  counts: { short: 10_000, full: 300_000 },
  outcomes: ["help", "help-unreadable", "trace", "counters", "traffic", "listening", "time", "nothing"],
  open: () =>
    Promise.resolve({
      attempt: (random: Random) => (random.oneIn(200) ? readHelpText(anyHelp(random)) : readLine(anyLine(random))),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }),
};

function anyLine(random: Random): string {
  const line = mutateText(random.pick(samples), random);
  const number = () =>
    random.pick(["1..5", "1e999", "-1", "9".repeat(400), "99999", "0", "65536", "nan", "inf", "1e-320", "٣"]);
  const odd = random.oneIn(2) ? line : line.replaceAll(/\d+(?:\.\d+)?/g, (old) => (random.oneIn(3) ? number() : old));
  return random.oneIn(300) ? odd + random.pick(repeated).repeat(20_000) : odd;
}

function anyHelp(random: Random): string {
  const text = mutateText(random.pick(helps), random);
  const at = random.below(text.length);
  return text.slice(0, at) + random.pick([...repeated, ...nasty]).repeat(random.below(50_000)) + text.slice(at);
}

function readHelpText(text: string): string {
  try {
    return parseHelp(text).length > 0 ? "help" : "nothing";
  } catch (error) {
    if (error instanceof LlmctlError) return error.code;
    throw error;
  }
}

/** Has read all lines so far: they must neither break it nor make it slow. */
const guard = new DraftGuard({
  name: "p",
  costs: { stepMs: [{ contextTokens: 50, ms: 5 }], targetMs: [5, 6], draftMs: [1, 2], reevaluates: true },
});

function readLine(line: string): string {
  const exit = { name: "p", signal: null, lastLines: line.split("\n"), oomKills: 0, wasReady: false };
  const cause = explainExit({ ...exit, code: 1 });
  if (cause.message === "") throw new Error(`an exit without a message: ${JSON.stringify(line)}`);
  const [traffic, load, time, event] = [
    parseTraffic(line),
    parseLoadLine(line),
    parseLogTime(line),
    parseEventLine(line),
  ];
  expectNumbers(line, [traffic, time, event, parseDevices(line), parseMemory(line)]);
  guard.read(line, false);
  expectNumbers(line, guard.judgement.speedup);
  const [trace, counters] = [readTrace(line), parseDraftCounters(line)];
  expectNumbers(line, [trace, counters]);
  parseFlagRefusal(line);
  parseRunMarker(line);
  if (load?.says === "listening" && "port" in load.endpoint && !isPort(load.endpoint.port))
    throw new Error(`not a port: ${JSON.stringify(line)}`);
  if (trace !== undefined) return "trace";
  if (counters !== undefined) return "counters";
  if (traffic !== undefined) return "traffic";
  if (load !== undefined) return load.says;
  return time === undefined ? "nothing" : "time";
}

function readTrace(text: string): unknown {
  const parser = new DraftTraceParser();
  for (const line of text.split("\n")) parser.push(line);
  return parser.read();
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65_535;
}

/** Checks that every number in a value, at any depth, is finite. */
function expectNumbers(line: string, value: unknown): void {
  if (typeof value === "number" && !(Number.isFinite(value) && value >= 0))
    throw new Error(`${value} from ${JSON.stringify(line)}`);
  if (typeof value === "object" && value !== null) for (const one of Object.values(value)) expectNumbers(line, one);
}
