#!/usr/bin/env node
// Replaces the llama-cli of v0.5.0 in tests of its terminal. It accepts any flags, loads no model, and writes a line
// for its arguments, its terminal, its size, each key and each signal. The key `q` ends it with code 7, `k` kills it,
// `c` leaves raw mode. With FAKE_OLD_CLI in its environment it can neither draft nor connect to a server.
import { readFileSync, readlinkSync } from "node:fs";

const args = process.argv.slice(2);
const { stdin, stdout } = process;

if (args.includes("--help")) {
  const help = readFileSync(new URL("../fixtures/llama-help/llama-cli-v0.5.0.txt", import.meta.url), "utf8");
  stdout.write(process.env["FAKE_OLD_CLI"] ? help.replaceAll(/^--(?:spec|server-base).*\n/gm, "") : help);
} else if (args.at(-1) === "--version") {
  process.stderr.write("version: 0.5.0-dev (build 1, commit fake)\n");
} else {
  chat();
}

function chat() {
  say(`args ${JSON.stringify(args)}`);
  say(`terminal ${readlinkSync("/proc/self/fd/0")}`);
  showSize();
  process.on("SIGWINCH", showSize);
  process.on("SIGINT", () => say("signal SIGINT"));
  process.on("SIGTERM", () => {
    say("signal SIGTERM");
    process.exit(9);
  });
  stdin.setRawMode(true);
  stdin.on("data", (bytes) => {
    for (const byte of bytes) onKey(String.fromCharCode(byte));
  });
  say("ready");
}

function onKey(key) {
  say(`key ${key.charCodeAt(0).toString(16).padStart(2, "0")}`);
  if (key === "q") process.exit(7);
  if (key === "k") process.kill(process.pid, "SIGKILL");
  if (key === "c") {
    stdin.setRawMode(false);
    say("cooked");
  }
}

function showSize() {
  const [columns, rows] = stdout.getWindowSize();
  say(`size ${columns}x${rows}`);
}

function say(line) {
  stdout.write(`${line}\n`);
}
