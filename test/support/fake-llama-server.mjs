#!/usr/bin/env node
// Replaces llama-server v0.5.0 in tests that need a fault on demand. It has the real one's help text, log lines, HTTP
// answers and signals, and loads no model. The faults come as JSON in the environment variable FAKE_LLAMA,
// or later by `POST /fault`:
//
//   loadMs            time of a load (default 0)
//   requestMs         time of a completion (default 0)
//   neverReady        loads without end
//   hog               allocates all memory while loading
//   readBytes         reads this many bytes of the model while loading
//   longLineBytes     writes one line of this length while loading
//   exitWhileLoading  { code, lines }: logs the lines and exits
//   crashAfterMs      does `crash` this long after it is ready
//   crashOnRequest    does `crash` at a request for a completion
//   crash             { signal } or { code } (default SIGKILL)
//   ignoreTerm        logs SIGTERM and goes on
//   exitDelayMs       time between the last request's end and the exit
//   computeError      answers completions with 500, as a server that lost its GPU
//   noDraft           answers with timings without draft counters
//   wedge             /health stays 200; completions and /slots are never answered
//   silent            accepts connections and answers nothing; with silentAfterMs from that time on
//   stallStream       a stream stops after its first chunk
//   says              the text of its answers
//   logRequests       { msPerToken }: logs the lines of each completion, with this time a token
//   spam              { totalBytes } at once, or { bytesPerSecond }, to the log, once ready
//   forkChild         "group" or "session": starts a grandchild, in this process group or in its own session
//   devices           lines of --list-devices; other names are refused
//   dumpEnv           file for { pid, argv, env, fds } of this process
//   stateFile         grows by one byte per start; with `times`, the other faults apply to only that many first starts
import { spawn } from "node:child_process";
import {
  appendFileSync,
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  renameSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { createServer } from "node:http";

const started = process.hrtime.bigint();
const help = readFileSync(new URL("../fixtures/llama-help/llama-server-v0.5.0.txt", import.meta.url), "utf8");
const args = process.argv.slice(2);
const faults = JSON.parse(process.env.FAKE_LLAMA ?? "{}");

log("I srv  llama_server: initializing ...");
const options = parseArguments(findFlags());
const isDrafting = options.has("--spec-draft-model") && (options.get("--spec-type") ?? "").includes("draft-simple");
const keys = readKeys();
const counters = { generated: 0, accepted: 0, predicted: 0, tasks: 0 };
let state = "loading"; // then "ready", then "stopping"
countStart();
serve();

// -- the command line
// ----------------------------------------------------------------------------------------------------

/** Every flag of the help text: all its names, how many values it takes, and its help. */
function findFlags() {
  const flags = new Map();
  for (const block of help.split(/\n(?=-[^-]|--[^-])/)) {
    const first = block.split("\n", 1)[0] ?? "";
    if (!/^--?[a-zA-Z]/.test(first)) continue;
    const fits = first.length <= 40 || first.slice(38, 40) === "  ";
    const words = (fits ? first.slice(0, 40) : first).trim().split(/\s+/);
    const names = words.filter((word) => /^--?[a-zA-Z]/.test(word)).map((word) => word.replace(/,$/, ""));
    const hint = words.slice(names.length);
    const values = hint.length === 2 && hint.every((word) => /^[A-Z]+$/.test(word)) ? 2 : Math.min(hint.length, 1);
    const removed = /the argument has been removed\.[^(]*/.exec(block)?.[0].replace(/\s+/g, " ").trim();
    for (const name of names)
      flags.set(name, { names, values, isNumber: /^(N|PORT)$/.test(hint[0] ?? ""), removed, block });
  }
  return flags;
}

/**
 * Parses the arguments from left to right, as the real one does: `--version` and `--help` end the program at once.
 */
function parseArguments(flags) {
  const found = new Map();
  for (let i = 0; i < args.length; i += 1) {
    const flag = flags.get(args[i].startsWith("--") ? args[i].replaceAll("_", "-") : args[i]);
    if (flag === undefined) end(1, `error: invalid argument: ${args[i]}\n`);
    if (flag.names.includes("--version"))
      end(0, "version: 0.5.0-dev (build 1, commit de3ff81)\nbuilt with GNU 12.2.0 for Linux x86_64\n");
    if (flag.names.includes("--help")) end(0, help, 1);
    if (flag.names.includes("--list-devices")) end(0, ["Available devices:", ...listDevices()].join("\n  ") + "\n", 1);
    const values = args.slice(i + 1, i + 1 + flag.values);
    const wrong = flag.removed ?? whyWrong(flag, values);
    const usage = `usage:\n${flag.block.trimEnd()}\n\n\nto show complete usage, run with -h\n`;
    if (wrong !== undefined) end(1, `error while handling argument "${args[i]}": ${wrong}\n\n${usage}`);
    for (const name of flag.names) found.set(name, values[0] ?? "");
    i += flag.values;
  }
  return found;
}

function whyWrong(flag, values) {
  if (values.length < flag.values) return "expected value for argument";
  const isDevice = flag.names.includes("--device") || flag.names.includes("--spec-draft-device");
  const unknown =
    isDevice && values[0].split(",").find((name) => !listDevices().some((line) => line.startsWith(`${name}: `)));
  if (unknown) return `invalid device: ${unknown}`;
  return flag.isNumber && Number.isNaN(Number.parseInt(values[0], 10)) ? "stoi" : undefined;
}

function listDevices() {
  return faults.devices ?? [];
}

function end(code, text, fd = 2) {
  writeAll(fd, text);
  process.exit(code);
}

function readKeys() {
  const file = options.get("--api-key-file");
  const fromFile = file === undefined ? [] : readFileSync(file, "utf8").split("\n");
  return [...fromFile, ...(options.get("--api-key") ?? "").split(",")].filter(
    (key) => key !== "" && !key.startsWith("#"),
  );
}

// -- start, load, stop
// ---------------------------------------------------------------------------------------------------------------------

/** Counts this start, and drops faults that are only for earlier starts. */
function countStart() {
  const { stateFile, times, dumpEnv } = faults;
  if (dumpEnv !== undefined) dump(dumpEnv);
  if (stateFile === undefined) return;
  appendFileSync(stateFile, "x");
  if (times !== undefined && statSync(stateFile).size > times)
    for (const name of Object.keys(faults)) delete faults[name];
}

function dump(path) {
  const fds = readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [{ fd: Number(fd), target: readlinkSync(`/proc/self/fd/${fd}`) }];
    } catch {
      return []; // The descriptor of the directory listing itself is closed by now.
    }
  });
  writeFileSync(path, JSON.stringify({ pid: process.pid, argv: process.argv, env: process.env, fds }));
}

function serve() {
  const host = options.get("--host") ?? "127.0.0.1";
  const port = Number(options.get("--port") ?? 8080);
  const server = createServer(onRequest);
  server.on("error", () => {
    log(`E srv         start: couldn't bind HTTP server socket, hostname: ${host}, port: ${port}`);
    log("I srv    operator(): operator(): cleaning up before exit...");
    log("E srv  llama_server: exiting due to HTTP server error");
    process.exit(1);
  });
  if (host.endsWith(".sock")) listenOnSocket(server, host);
  else {
    const name = host.includes(":") ? `[${host}]` : host;
    server.listen(port, host, () => load(server, `http://${name}:${server.address().port}`));
  }
  if (faults.ignoreTerm) process.on("SIGTERM", () => onStop(server, "SIGTERM"));
}

/**
 * As the real one, refuses an existing path of any kind, and does not remove its socket at the end, which Node would
 * do.
 */
function listenOnSocket(server, path) {
  if (existsSync(path)) return server.emit("error", new Error("the path is there"));
  server.listen(`${path}~`, () => {
    renameSync(`${path}~`, path);
    load(server, `unix://${path}`);
  });
}

function load(server, url) {
  log(`I srv    load_model: loading model '${options.get("--model") ?? ""}'`);
  if (faults.forkChild !== undefined) forkChild();
  if (faults.longLineBytes !== undefined) writeAll(2, `${"x".repeat(faults.longLineBytes)}\n`);
  if (faults.exitWhileLoading !== undefined) {
    const { code = 1, lines = [] } = faults.exitWhileLoading;
    for (const line of lines) log(`E ${line}`);
    process.exit(code);
  }
  if (faults.hog) for (const taken = []; ;) taken.push(Buffer.alloc(16 << 20, 1));
  if (faults.readBytes !== undefined) readModel(faults.readBytes);
  if (!faults.neverReady) setTimeout(() => onLoaded(server, url), faults.loadMs ?? 0);
}

function readModel(bytes) {
  const file = openSync(options.get("--model"), "r");
  const buffer = Buffer.alloc(1 << 20);
  for (let done = 0; done < bytes; done += buffer.length) readSync(file, buffer, 0, buffer.length, done);
  closeSync(file);
}

function onLoaded(server, url) {
  if (isDrafting) log(`I common_speculative_init_result: loading draft model '${options.get("--spec-draft-model")}'`);
  // As in the real one, a signal before this point kills the process.
  for (const signal of ["SIGTERM", "SIGINT"])
    process.removeAllListeners(signal).on(signal, () => onStop(server, signal));
  state = "ready";
  log("I srv  llama_server: model loaded");
  log(`I srv  llama_server: listening on ${url}`);
  if (faults.spam !== undefined) spam(faults.spam);
  if (faults.crashAfterMs !== undefined) setTimeout(crash, faults.crashAfterMs);
  if (faults.silentAfterMs !== undefined)
    setTimeout(() => Object.assign(faults, { silent: true }), faults.silentAfterMs);
}

/** The first signal lets running requests end; the second ends the process. */
function onStop(server, signal) {
  if (faults.ignoreTerm && signal === "SIGTERM") return log("I fake: ignored SIGTERM");
  if (state === "stopping") end(1, "Received second interrupt, terminating immediately.\n");
  state = "stopping";
  log("I srv    operator(): operator(): cleaning up before exit...");
  server.close(() => setTimeout(() => process.exit(0), faults.exitDelayMs ?? 0));
}

function crash() {
  const { code, signal = "SIGKILL" } = faults.crash ?? {};
  if (code !== undefined) process.exit(code);
  process.kill(process.pid, signal);
}

function forkChild() {
  const detached = faults.forkChild === "session";
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1e6)"], { detached, stdio: ["ignore", 2, 2] });
  log(`I fake: grandchild ${child.pid}`);
}

function spam({ totalBytes = 0, bytesPerSecond = 0 }) {
  const line = `${"spam ".repeat(20)}\n`;
  const chunk = line.repeat(640);
  for (let left = totalBytes; left > 0; left -= chunk.length) writeAll(2, chunk.slice(0, left));
  if (bytesPerSecond > 0)
    setInterval(() => writeAll(2, line.repeat(Math.ceil(bytesPerSecond / 10 / line.length))), 100);
}

// -- HTTP
// ---------------------------------------------------------------------------------------------------------------------

function onRequest(request, response) {
  const path = (request.url ?? "/").split("?", 1)[0];
  let body = "";
  request.setEncoding("utf8").on("data", (text) => (body += text));
  request.on("end", () => {
    if (path === "/fault") return answer(response, 200, Object.assign(faults, JSON.parse(body)));
    if (faults.silent) return;
    if (state === "loading") return fail(response, 503, "unavailable_error", "Loading model");
    if (path === "/health" || path === "/v1/health") return answer(response, 200, { status: "ok" });
    if (!isAllowed(request)) return fail(response, 401, "authentication_error", "Invalid API Key");
    route(path, body, response);
  });
}

function isAllowed(request) {
  const given = request.headers.authorization?.replace(/^Bearer /, "") ?? request.headers["x-api-key"];
  return keys.length === 0 || keys.includes(given);
}

function route(path, body, response) {
  const model = options.get("--alias") ?? options.get("--model");
  switch (path) {
    case "/completion":
    case "/v1/chat/completions":
      return onCompletion(path, JSON.parse(body || "{}"), response, model);
    case "/models":
    case "/v1/models":
      return answer(response, 200, { object: "list", data: [{ id: model, object: "model", owned_by: "llamacpp" }] });
    case "/slots":
      if (faults.wedge) return log("I fake: leaves /slots unanswered");
      return answer(response, 200, [{ id: 0, n_ctx: 512, speculative: isDrafting, is_processing: false }]);
    case "/props":
      return answer(response, 200, {
        default_generation_settings: { n_ctx: 512 },
        total_slots: 1,
        model_path: options.get("--model"),
        build_info: "b1-de3ff81",
      });
    case "/metrics":
      return onMetrics(response);
    default:
      return fail(response, 404, "not_found_error", "File Not Found");
  }
}

function onCompletion(path, request, response, model) {
  if (faults.crashOnRequest) return crash();
  if (faults.wedge) return;
  if (faults.computeError) return fail(response, 500, "server_error", "Compute error.");
  const task = counters.tasks;
  counters.tasks += 1;
  if (faults.logRequests) log(`I slot launch_slot_: id  0 | task ${task} | processing task, is_child = 0`);
  setTimeout(() => {
    const timings = makeTimings(request.n_predict ?? request.max_tokens ?? 12);
    if (faults.logRequests) logRequest(task, timings);
    const text = faults.says ?? "Once upon a time there was a fake server.";
    if (request.stream) return stream(response, path, model, text, timings);
    if (path === "/completion")
      return answer(response, 200, {
        index: 0,
        content: text,
        stop: true,
        model,
        tokens_predicted: timings.predicted_n,
        timings,
      });
    const message = { role: "assistant", content: text };
    answer(response, 200, {
      object: "chat.completion",
      model,
      choices: [{ index: 0, finish_reason: "length", message }],
      timings,
    });
  }, faults.requestMs ?? 0);
}

/** As the real one, whose counts of tokens include the first one, and whose times do not. */
function logRequest(task, { predicted_n: tokens, draft_n: drafted, draft_n_accepted: accepted }) {
  const at = (name) => `I slot ${name}: id  0 | task ${task} | `;
  const ms = (faults.logRequests.msPerToken * (tokens - 1)).toFixed(2);
  log(`${at("print_timing")}prompt eval time =       1.00 ms /     3 tokens`);
  log(`${at("print_timing")}       eval time = ${ms} ms / ${tokens} tokens`);
  if (drafted > 0)
    log(
      `${at("print_timing")}draft acceptance = 0.75000 (${accepted} accepted / ${drafted} generated), mean len =  2.50`,
    );
  log(`${at("     release")}stop processing: n_tokens = ${tokens + 2}, truncated = 0`);
}

/**
 * Three of four drafted tokens are accepted. As in the real one, the draft counters are present only after drafting.
 */
function makeTimings(predicted) {
  const timings = {
    cache_n: 0,
    prompt_n: 3,
    prompt_ms: 1,
    prompt_per_second: 3000,
    predicted_n: predicted,
    predicted_ms: predicted,
  };
  counters.predicted += predicted;
  const drafted = { draft_n: predicted, draft_n_accepted: Math.floor(predicted * 0.75) };
  if (!isDrafting || faults.noDraft || predicted <= 2) return { ...timings, predicted_per_second: 1000 };
  counters.generated += drafted.draft_n;
  counters.accepted += drafted.draft_n_accepted;
  return { ...timings, predicted_per_second: 1000, ...drafted };
}

function stream(response, path, model, text, timings) {
  const send = (chunk) => response.write(`data: ${JSON.stringify(chunk)}\n\n`);
  const isChat = path !== "/completion";
  response.writeHead(200, { "content-type": "text/event-stream" });
  for (const word of text.split(/(?<= )/)) {
    send(
      isChat
        ? { model, choices: [{ index: 0, finish_reason: null, delta: { content: word } }] }
        : { index: 0, content: word, stop: false },
    );
    if (faults.stallStream) return;
  }
  send(
    isChat
      ? { model, choices: [{ index: 0, finish_reason: "length", delta: {} }], timings }
      : { index: 0, content: "", stop: true, timings },
  );
  response.end(isChat ? "data: [DONE]\n\n" : "");
}

function onMetrics(response) {
  if (!options.has("--metrics"))
    return fail(response, 501, "not_supported_error", "This server does not support metrics endpoint.");
  response.writeHead(200, { "content-type": "text/plain; version=0.0.4" });
  response.end(`llamacpp:tokens_predicted_total ${counters.predicted}
llamacpp:spec_decode_num_draft_tokens_total ${counters.generated}
llamacpp:spec_decode_num_accepted_tokens_total ${counters.accepted}\n`);
}

function answer(response, status, value) {
  response.writeHead(status, { "content-type": "application/json; charset=utf-8" }).end(JSON.stringify(value));
}

function fail(response, code, type, message) {
  answer(response, code, { error: { message, type, code } });
}

// -- log
// ---------------------------------------------------------------------------------------------------------------------

/** One line in llama.cpp's format: minutes, seconds, milliseconds and microseconds since the start, then the text. */
function log(text) {
  const us = Number((process.hrtime.bigint() - started) / 1000n);
  const part = (value, digits) => String(Math.floor(value)).padStart(digits, "0");
  writeAll(
    2,
    `${Math.floor(us / 6e7)}.${part((us / 1e6) % 60, 2)}.${part((us / 1e3) % 1000, 3)}.${part(us % 1000, 3)} ${text}\n`,
  );
}

/**
 * Synchronous, as a C program's writes to stderr, so all lines before a crash are in the log. A full disk is ignored,
 * as by a C program.
 */
function writeAll(fd, text) {
  const bytes = Buffer.from(text);
  try {
    for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done);
  } catch (error) {
    if (error.code !== "ENOSPC") throw error;
  }
}
