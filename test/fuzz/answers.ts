import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LlmctlError } from "../../src/base/errors.ts";
import { isEvent, isStatus } from "../../src/control/messages.ts";
import { fetchMetrics, fetchStatus, followEvents, requestRestart, requestStop } from "../../src/control/client.ts";
import { streamChat } from "../../src/llama/server/chat-stream.ts";
import { measureAnswer } from "../../src/llama/server/measured-answer.ts";
import { llamaServerProtocol } from "../../src/llama/server/server-protocol.ts";
import { makeLaunch } from "../support/make-launch.ts";
import { makeEvent, makeStatus } from "../support/make-status.ts";
import type { Fuzzer } from "./fuzzer.ts";
import { mutateBytes, mutateJson, mutateText } from "./mutate.ts";
import type { Random } from "./random.ts";

const launch = makeLaunch({ args: ["--metrics"] });
const props = { is_sleeping: false, total_slots: 1 };
const slots = [{ id: 0, is_processing: true }];
const timings = { predicted_n: 2, predicted_ms: 3, predicted_per_second: 9, draft_n: 4, draft_n_accepted: 3 };
const choice = { choices: [{ delta: { content: "a", reasoning_content: "b" } }] };
/** The requests; `wanted` is an index of this list. */
const answers: readonly unknown[] = [
  [makeStatus(), makeStatus({ state: "stopped" }), {}, "# HELP", makeEvent(), choice, { timings }, {}, props, slots],
  [{ ...choice, timings: { ...timings, prompt_n: 5, prompt_ms: 6 } }],
  [{ error: { message: "no" } }, { message: "no", code: "busy", exit: "busy" }, null],
].flat();

/** Answers of something that acts as a supervisor or a server: each is understood, or is an error of a known kind. */
export const answersFuzzer: Fuzzer = {
  name: "answers",
  counts: { short: 3000, full: 50_000 },
  outcomes: [
    "status",
    "event",
    "metrics",
    "chat",
    "asked",
    "chat-failed",
    "unreadable-answer",
    "measured",
    "answer-failed",
  ],
  open: async () => {
    const folder = await mkdtemp(join(tmpdir(), "llmctl-fuzz-"));
    const socketPath = join(folder, "p.sock");
    let words = (): Buffer => Buffer.alloc(0);
    const impostor = createServer((socket: Socket) => {
      socket.on("error", () => undefined); // the client leaves early
      socket.once("data", () => socket.end(words()));
    });
    impostor.listen(socketPath);
    await once(impostor, "listening");
    return {
      attempt: async (random: Random) => {
        const wanted = random.below(11);
        words = () => anyAnswer(random, wanted);
        try {
          return await ask(wanted, socketPath);
        } catch (error) {
          if (error instanceof LlmctlError) return error.code;
          throw error;
        }
      },
      [Symbol.asyncDispose]: async () => {
        impostor.close();
        await rm(folder, { recursive: true, force: true });
      },
    };
  },
};

function anyAnswer(random: Random, wanted: number): Buffer {
  const status = random.pick([
    "200 OK",
    "200 OK",
    "200 OK",
    "409 Conflict",
    "500 No",
    "100 Continue",
    "301 Moved",
    "999 x",
  ]);
  const right = random.oneIn(4) ? random.pick(answers) : answers[wanted];
  const value = random.oneIn(2) ? right : mutateJson(right, random);
  const json = JSON.stringify(value) ?? "";
  const text = random.oneIn(4) ? mutateText(json, random) : json;
  const lines = random.oneIn(4) ? `${text}\n`.repeat(random.below(4)) : `${text}\n`;
  const body = wanted === 5 || wanted === 10 ? `data: ${lines}\ndata: [DONE]\n` : lines;
  const length = random.oneIn(3) ? `content-length: ${random.pick([Buffer.byteLength(body), 0, 5, 1e9, "x"])}\r\n` : "";
  const answer = Buffer.from(`HTTP/1.1 ${status}\r\nconnection: close\r\n${length}\r\n${body}`);
  if (random.oneIn(300)) return Buffer.concat([answer, Buffer.alloc(6 << 20, "x")]);
  return random.oneIn(3) ? mutateBytes(answer, random) : answer;
}

async function ask(wanted: number, socketPath: string): Promise<string> {
  const { signal } = new AbortController();
  const endpoint = { socketPath };
  switch (wanted) {
    case 0:
      return expectShape(isStatus, await fetchStatus(socketPath), "status");
    case 1:
      return expectShape(isStatus, await requestStop(socketPath, true), "status");
    case 2:
      return (await requestRestart(socketPath, undefined)) ? "restarted" : "no answer";
    case 3:
      return (await fetchMetrics(socketPath)) === undefined ? "no answer" : "metrics";
    case 4:
      for await (const event of followEvents(socketPath)) expectShape(isEvent, event, "event");
      return "event";
    case 5:
      for await (const { text } of streamChat({ url: `unix://${socketPath}`, apiKey: undefined, messages: [], signal }))
        if (typeof text !== "string") throw new Error("a piece of a chat that is not text");
      return "chat";
    case 6: {
      // Documented to throw an Error, whose message the supervisor reports.
      const proof = await llamaServerProtocol
        .prove(launch, endpoint, signal)
        .catch((error: unknown) => expectPlain(error));
      return proof === undefined
        ? "not proven"
        : expectCounts([
            ...Object.values(proof.verdict).filter((value) => typeof value === "number"),
            proof.tokensPerSecond,
          ]);
    }
    case 7:
      await llamaServerProtocol.checkHealth(endpoint, 5000, signal);
      return "asked";
    case 8:
      await llamaServerProtocol.examine(launch, endpoint, signal);
      await llamaServerProtocol.askMainLoop(launch, endpoint, signal);
      return "asked";
    case 10: {
      const asked = { endpoint, path: "/v1/chat/completions", body: {}, signal } as const;
      const { text, ...counts } = await measureAnswer(asked);
      if (typeof text !== "string") throw new Error("an answer that is not text");
      expectCounts(Object.values(counts).filter((value) => typeof value === "number"));
      return "measured";
    }
    default:
      await llamaServerProtocol.isBusy(launch, endpoint, signal);
      await llamaServerProtocol.readMetrics(launch, endpoint, signal);
      return "asked";
  }
}

function expectShape(isOne: (value: unknown) => boolean, value: unknown, outcome: string): string {
  if (value === undefined) return "no answer";
  if (!isOne(value)) throw new Error(`not checked: ${JSON.stringify(value)}`);
  return outcome;
}

function expectPlain(error: unknown): undefined {
  if (!(error instanceof Error)) throw error;
  return undefined;
}

function expectCounts(counts: readonly number[]): string {
  if (!counts.every((count) => Number.isFinite(count) && count >= 0))
    throw new Error(`no counts: ${counts.join(", ")}`);
  return "proven";
}
