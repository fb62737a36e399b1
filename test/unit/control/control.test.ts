import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fetchStatus, followEvents, requestRestart, requestStop } from "../../../src/control/client.ts";
import type { Status, StatusEvent } from "../../../src/control/messages.ts";
import { ControlServer, type ControlHandlers } from "../../../src/control/server.ts";
import { controlSocketPath } from "../../../src/control/socket-path.ts";

const status = { version: 1, name: "p", state: "ready" } as Status;
const event: StatusEvent = { time: "now", elapsedMs: 1, message: "ready", cause: null, status };

let folder: string;
let socketPath: string;
let server: ControlServer;
let calls: unknown[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-control-"));
  socketPath = join(folder, "p.sock");
  calls = [];
  server = new ControlServer(socketPath, handlers());
});

afterEach(async () => {
  server.close();
  await rm(folder, { recursive: true });
});

function handlers(more: Partial<ControlHandlers> = {}): ControlHandlers {
  return {
    status: () => status,
    metrics: async () => ({ contentType: "text/plain", text: "llmctl_starts_total 1\n" }),
    lastEvent: () => event,
    stop: async (force) => {
      calls.push({ force });
      return { ...status, state: "stopped" };
    },
    restart: (launch) => void calls.push({ launch }),
    ...more,
  };
}

describe("a supervisor that listens", () => {
  beforeEach(() => server.listen());

  test("tells its status, to its own user only", async () => {
    expect(await fetchStatus(socketPath)).toEqual(status);
    expect((await stat(socketPath)).mode & 0o777).toBe(0o600);
  });

  test.each([true, false])("is asked to stop, force: %s", async (force) => {
    expect(await requestStop(socketPath, force)).toMatchObject({ state: "stopped" });
    expect(calls).toEqual([{ force }]);
  });

  test("is asked to restart, with or without a launch", async () => {
    expect(await requestRestart(socketPath, { name: "p" })).toBe(true);
    expect(await requestRestart(socketPath, undefined)).toBe(true);
    expect(calls).toEqual([{ launch: { name: "p" } }, { launch: undefined }]);
  });

  test("a follower gets the present state, then every change, and ends when the supervisor ends", async () => {
    const messages: string[] = [];
    for await (const { message } of followEvents(socketPath)) {
      messages.push(message);
      if (messages.length === 1) {
        server.publish({ ...event, message: "stopping" });
        server.publish({ ...event, message: "stopped" });
        server.close();
      }
    }
    expect(messages).toEqual(["ready", "stopping", "stopped"]);
  });

  test("a follower that has seen enough lets go", async () => {
    for await (const { message } of followEvents(socketPath)) if (message === "ready") break;
    expect(await fetchStatus(socketPath)).toEqual(status);
  });

  test("a follower can be called off", async () => {
    const controller = new AbortController();
    const follow = async () => {
      for await (const _ of followEvents(socketPath, controller.signal)) controller.abort();
    };
    await expect(follow()).resolves.toBeUndefined();
    await expect(async () => {
      for await (const _ of followEvents(socketPath, controller.signal)) calls.push("read");
    }).rejects.toThrow("abort");
    expect(calls).toEqual([]);
  });

  test.each([
    ["GET", "/nothing", "", 404, "unknown request GET /nothing"],
    ["POST", "/status", "", 404, "unknown request POST /status"],
    ["POST", "/stop", "{", 500, "SyntaxError"],
    ["POST", "/stop", "[", 500, "SyntaxError"],
    ["POST", "/stop", "null", 500, "the request is not a JSON object"],
    ["POST", "/stop", `"${"x".repeat(1 << 20)}"`, 500, "the request is larger than 1048576 bytes"],
  ])("%s %s with a wrong body is refused and changes nothing", async (method, path, body, code, message) => {
    const answer = await send(method, path, body);
    expect(answer).toEqual({ code, message: expect.stringContaining(message) });
    expect(calls).toEqual([]);
    expect(await fetchStatus(socketPath)).toEqual(status);
  });

  test("after its end no socket is left", async () => {
    server.close();
    expect(await readdir(folder)).toEqual([]);
    expect(await fetchStatus(socketPath)).toBeUndefined();
  });
});

test("what a handler refuses is told to the client", async () => {
  const refusing = handlers({
    restart: () => {
      throw new Error("not mine");
    },
  });
  const other = new ControlServer(socketPath, refusing);
  await other.listen();
  await expect(requestRestart(socketPath, {})).rejects.toMatchObject({ code: "refused", message: expect.stringContaining("not mine") });
  other.close();
});

test("a dead socket file is replaced", async () => {
  await writeFile(socketPath, "");
  await server.listen();
  expect(await fetchStatus(socketPath)).toEqual(status);
});

describe("where no supervisor listens", () => {
  test.each([
    ["there is no file", async () => undefined],
    ["a file is in its place", () => writeFile(socketPath, "")],
    ["the folder is a file", () => Promise.resolve((socketPath = "/dev/null/p.sock"))],
  ])("%s: there is none", async (_, make) => {
    await make();
    expect(await fetchStatus(socketPath)).toBeUndefined();
    expect(await requestStop(socketPath, false)).toBeUndefined();
    expect(await requestRestart(socketPath, {})).toBe(false);
    for await (const _event of followEvents(socketPath)) calls.push("read");
    expect(calls).toEqual([]);
  });

  test("one that accepts and says nothing is unresponsive", async () => {
    const silent = await listenSilently();
    await expect(fetchStatus(socketPath, 20)).rejects.toMatchObject({ code: "unresponsive", at: socketPath });
    silent.close();
  });

  function listenSilently(): Promise<Server> {
    return new Promise((resolve) => {
      const silent = createServer((socket) => socket.on("error", () => socket.destroy()));
      silent.listen(socketPath, () => resolve(silent));
    });
  }
});

test("a socket path that the system would cut is refused", () => {
  const room = 103 - "/p.sock".length;
  expect(controlSocketPath("x".repeat(room), "p")).toHaveLength(103);
  expect(() => controlSocketPath("x".repeat(room + 1), "p")).toThrow("has 104 bytes, at most 103");
  expect(() => controlSocketPath("ö".repeat(room / 2 + 1), "p")).toThrow("bytes");
});

function send(method: string, path: string, body: string): Promise<{ readonly code: number | undefined; readonly message: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method, path, agent: false, headers: { host: "x" } }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => (text += part));
      response.on("end", () => resolve({ code: response.statusCode, message: (JSON.parse(text) as { message: string }).message }));
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}
