import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import getPort from "get-port";
import { fetchStatus } from "../../src/control/client.ts";
import { MetricsServer } from "../../src/control/metrics-server.ts";
import { ControlServer } from "../../src/control/server.ts";
import { checkLaunch } from "../../src/supervisor/check-launch.ts";
import { makeLaunch } from "../support/make-launch.ts";
import { makeEvent, makeStatus } from "../support/make-status.ts";
import type { Fuzzer } from "./fuzzer.ts";
import { mutateBytes, mutateJson, mutateText, nasty } from "./mutate.ts";
import type { Random } from "./random.ts";

/** After this many messages the fuzzer checks that the supervisor still answers. */
const askEvery = 100;

/**
 * Messages to a supervisor's control socket and its metrics port, HTTP or not: it refuses them and goes on answering.
 */
export const socketsFuzzer: Fuzzer = {
  name: "sockets",
  counts: { short: 3000, full: 100_000 },
  outcomes: ["200", "400", "404", "409", "no answer"],
  open: async () => {
    const folder = await mkdtemp(join(tmpdir(), "llmctl-fuzz-"));
    const failures: string[] = [];
    const metrics = () => Promise.resolve({ contentType: "text/plain", text: "llmctl_starts_total 1\n" });
    const control = new ControlServer({
      status: makeStatus,
      metrics,
      lastEvent: makeEvent,
      eventsOfStart: () => [makeEvent()],
      stop: () => Promise.resolve(makeStatus({ state: "stopped" })),
      restart: ({ launch, llmctl }) =>
        void (launch !== undefined && checkLaunch(launch, { name: "p", protocol: "llama-server" }, llmctl)),
      onFailure: (text) => failures.push(text),
    });
    const socketPath = join(folder, "p.sock");
    await control.listen([socketPath]);
    const metricsServer = new MetricsServer({ read: metrics, onFailure: (text) => failures.push(text) });
    const port = await getPort({ host: "127.0.0.1" });
    await metricsServer.listen("127.0.0.1", port);
    let sent = 0;
    return {
      attempt: async (random: Random) => {
        const toMetrics = random.oneIn(8);
        const outcome = await send(anyMessage(random), toMetrics ? { host: "127.0.0.1", port } : { path: socketPath });
        sent += 1;
        if (sent % askEvery === 0 && (await fetchStatus(socketPath))?.name !== "p")
          throw new Error("the supervisor does not answer any more");
        if (outcome === "500") throw new Error("the supervisor reported a bad message as its own fault");
        if (failures.length > 0) throw new Error(failures.join("; "));
        return outcome;
      },
      [Symbol.asyncDispose]: async () => {
        control.close();
        metricsServer.close();
        await rm(folder, { recursive: true, force: true });
      },
    };
  },
};

const bodies: readonly unknown[] = [
  { force: true, by: '"llmctl down" (pid 1)' },
  { launch: makeLaunch(), by: "x", llmctl: "0.1.0" },
  {},
  [],
  null,
];
const paths = [
  "/status",
  "/metrics",
  "/events",
  "/events?from=start",
  "/stop",
  "/restart",
  "/",
  "*",
  "http://x/status",
  "/../status",
];

function anyMessage(random: Random): Buffer {
  if (random.oneIn(4)) return wish(random.pick(["stop", "restart"]), anyBody(random));
  const body = random.oneIn(3) ? "" : anyBody(random);
  const path = random.oneIn(10) ? random.pick(nasty) : random.pick(paths);
  const headers = [
    `${random.oneIn(6) ? random.pick(["PUT", "CONNECT", "OPTIONS", "get", "\0"]) : random.pick(["GET", "POST"])} ` +
      `${path} HTTP/${random.oneIn(8) ? random.pick(["1.0", "2", ""]) : "1.1"}`,
    "host: llmctl",
    `content-length: ` +
      `${random.oneIn(5) ? random.pick(["-1", "1e9", "99999999999", "0", "", "٣"]) : Buffer.byteLength(body)}`,
    ...(random.oneIn(5)
      ? [
          random.pick([
            "transfer-encoding: chunked",
            "expect: 100-continue",
            "upgrade: websocket",
            "connection: upgrade",
          ]),
        ]
      : []),
    ...(random.oneIn(10) ? [`x-${"h".repeat(random.below(20_000))}: ${random.pick(nasty)}`] : []),
  ];
  const message = Buffer.from(`${headers.join("\r\n")}\r\n\r\n${body}`);
  const changed = random.oneIn(2) ? message : mutateBytes(message, random);
  return random.oneIn(10) ? Buffer.concat([changed, changed]) : changed;
}

/** Only the body is odd. */
function wish(what: string, body: string): Buffer {
  return Buffer.from(
    `POST /${what} HTTP/1.1\r\nhost: llmctl\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

function anyBody(random: Random): string {
  const body = JSON.stringify(mutateJson(random.pick(bodies), random)) ?? "";
  return random.oneIn(3) ? mutateText(body, random) : body;
}

/** Sends the message, reads the answer and closes. @returns the status of the first answer. */
async function send(message: Buffer, to: { path: string } | { host: string; port: number }): Promise<string> {
  const socket = connect(to);
  const chunks: Buffer[] = [];
  socket.on("error", () => undefined); // the other side may close before it has read all
  socket.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    socket.end(); // a stream of events does not end by itself
  });
  socket.end(message);
  await once(socket, "close");
  return /^HTTP\/1\.1 (\d{3})/.exec(Buffer.concat(chunks).toString("latin1"))?.[1] ?? "no answer";
}
