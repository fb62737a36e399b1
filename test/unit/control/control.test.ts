import { once } from "node:events";
import { chmod, chown, mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { createServer as createHttpServer, request } from "node:http";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LlmctlError } from "../../../src/base/errors.ts";
import { fetchStatus, followEvents, requestRestart, requestStop } from "../../../src/control/client.ts";
import { ControlServer, type ControlHandlers } from "../../../src/control/server.ts";
import { listSocketPlaces } from "../../../src/control/socket-path.ts";
import { llmctlVersion } from "../../../src/base/version.ts";
import { makeEvent, makeStatus } from "../../support/make-status.ts";

const status = makeStatus();
const event = makeEvent();

let folder: string;
let socketPath: string;
let server: ControlServer;
let calls: unknown[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-control-"));
  socketPath = join(folder, "p.sock");
  calls = [];
  server = new ControlServer(handlers());
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
    eventsOfStart: () => [{ ...event, message: "loading" }, event],
    stop: async (wish) => {
      calls.push(wish);
      return { ...status, state: "stopped" };
    },
    restart: (wish) => void calls.push(wish),
    onFailure: (text) => void calls.push(text),
    ...more,
  };
}

describe("a supervisor that listens", () => {
  beforeEach(() => server.listen([socketPath]));

  test("answers with its status, to its own user only", async () => {
    expect(await fetchStatus(socketPath)).toEqual(status);
    expect((await stat(socketPath)).mode & 0o777).toBe(0o600);
  });

  test.each([true, false])("receives a request to stop, force: %s", async (force) => {
    expect(await requestStop(socketPath, force)).toMatchObject({ state: "stopped" });
    expect(calls).toEqual([{ force, by: `"llmctl down" (pid ${process.pid})` }]);
  });

  test("receives a request to restart, with or without a launch", async () => {
    expect(await requestRestart(socketPath, { name: "p" })).toBe(true);
    expect(await requestRestart(socketPath, undefined)).toBe(true);
    const asker = { by: `"llmctl restart" (pid ${process.pid})`, llmctl: llmctlVersion };
    expect(calls).toEqual([
      { ...asker, launch: { name: "p" } },
      { ...asker, launch: undefined },
    ]);
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

  test("a follower can ask for the events since the present start began", async () => {
    const messages: string[] = [];
    for await (const { message } of followEvents(socketPath, { fromStart: true })) {
      messages.push(message);
      if (messages.length === 2) break;
    }
    expect(messages).toEqual(["loading", "ready"]);
    await server.firstReader;
  });

  test("the name of a caller is one short line, whatever the client sends", async () => {
    await send("POST", "/stop", JSON.stringify({ by: `evil\u001b[2J\n${"x".repeat(200)}` }));
    await send("POST", "/stop", "{}");
    expect(calls).toEqual([
      { force: false, by: `evil[2J${"x".repeat(93)}` },
      { force: false, by: "another llmctl" },
    ]);
  });

  test("a follower that stops reading closes its connection", async () => {
    for await (const { message } of followEvents(socketPath)) if (message === "ready") break;
    expect(await fetchStatus(socketPath)).toEqual(status);
  });

  test("a follower can be aborted", async () => {
    const controller = new AbortController();
    const follow = async () => {
      for await (const _ of followEvents(socketPath, { signal: controller.signal })) controller.abort();
    };
    await expect(follow()).resolves.toBeUndefined();
    await expect(async () => {
      for await (const _ of followEvents(socketPath, { signal: controller.signal })) calls.push("read");
    }).rejects.toThrow("abort");
    expect(calls).toEqual([]);
  });

  test.each([
    ["GET", "/nothing", "", 404, "unknown request GET /nothing"],
    ["POST", "/status", "", 404, "unknown request POST /status"],
    ["POST", "/stop", "{", 400, "the request is not a JSON object"],
    ["POST", "/stop", "[", 400, "the request is not a JSON object"],
    ["POST", "/stop", "null", 400, "the request is not a JSON object"],
    ["POST", "/restart", "[]", 400, "the request is not a JSON object"],
    ["POST", "/stop", `"${"x".repeat(1 << 20)}"`, 400, "the request is larger than 1048576 bytes"],
  ])("%s %s with a wrong body is refused and changes nothing", async (method, path, body, code, message) => {
    const answer = await send(method, path, body);
    expect(answer).toEqual({ code, message: expect.stringContaining(message) });
    expect(calls).toEqual([]);
    expect(await fetchStatus(socketPath)).toEqual(status);
  });

  test("leaves no socket after its end", async () => {
    server.close();
    expect(await readdir(folder)).toEqual([]);
    expect(await fetchStatus(socketPath)).toBeUndefined();
  });
});

test("a handler's refusal reaches the client", async () => {
  const refusing = handlers({
    restart: () => {
      throw new LlmctlError("launch-version", "not mine", { exit: "busy", fix: "go away" });
    },
  });
  const other = new ControlServer(refusing);
  await other.listen([socketPath]);
  await expect(requestRestart(socketPath, {})).rejects.toMatchObject({
    code: "launch-version",
    message: "not mine",
    exit: "busy",
    fix: "go away",
  });
  other.close();
});

test("a dead socket file is replaced", async () => {
  await writeFile(socketPath, "");
  await server.listen([socketPath]);
  expect(await fetchStatus(socketPath)).toEqual(status);
});

describe("without a listening supervisor", () => {
  test.each([
    ["there is no file", async () => undefined],
    ["a file is in its place", () => writeFile(socketPath, "")],
    ["the folder is a file", () => Promise.resolve((socketPath = "/dev/null/p.sock"))],
  ])("%s: there is no supervisor", async (_, make) => {
    await make();
    expect(await fetchStatus(socketPath)).toBeUndefined();
    expect(await requestStop(socketPath, false)).toBeUndefined();
    expect(await requestRestart(socketPath, {})).toBe(false);
    for await (const _event of followEvents(socketPath)) calls.push("read");
    expect(calls).toEqual([]);
  });

  test("a supervisor that accepts and sends nothing is unresponsive", async () => {
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

describe("the place of a socket", () => {
  const folders = (runtime: string, state = join(folder, "state")) => ({ runtime, state });
  const listen = (runtime: string, state?: string) => server.listen(listSocketPlaces(folders(runtime, state), "p"));

  test("is the runtime folder, created for its user only", async () => {
    await listen(join(folder, "run"));
    expect(server.socketPath).toBe(join(folder, "run", "p.sock"));
    expect((await stat(join(folder, "run"))).mode & 0o777).toBe(0o700);
  });

  test("is beside the state when the path in the runtime folder would be too long", async () => {
    await listen(`/${"x".repeat(100)}`);
    expect(server.socketPath).toBe(join(folder, "state", ".run", "p.sock"));
  });

  test("is beside the state when the runtime folder or the socket in it cannot be created", async () => {
    await writeFile(join(folder, "file"), "");
    await listen(join(folder, "file", "llmctl"));
    expect(server.socketPath).toBe(join(folder, "state", ".run", "p.sock"));
    await mkdir(join(folder, "run", "p.sock", "full"), { recursive: true });
    await listen(join(folder, "run"));
    expect(server.socketPath).toBe(join(folder, "state", ".run", "p.sock"));
  });

  test.each(["x", "ö"])("longer than a socket's address is refused, in bytes (%s)", (letter) => {
    const long = `/${letter.repeat(100)}`;
    expect(() => listSocketPlaces(folders(long, long), "p")).toThrow("bytes, at most 103 are possible");
  });

  test.each([
    [
      "that others can write",
      async (path: string) => mkdir(join(path, "planted"), { recursive: true }).then(() => chmod(path, 0o777)),
      "can be written by other users",
    ],
    ["that is a link", async (path: string) => symlink(folder, path), "is a link"],
  ])("in a folder %s is refused, and nothing is sent to a socket there", async (_, make, why) => {
    const own = await mkdtemp(join(tmpdir(), "llmctl-control-"));
    const path = join(own, "run");
    await make(path);
    await expect(listen(path)).rejects.toMatchObject({
      code: "foreign-folder",
      exit: "permission",
      message: expect.stringContaining(why),
    });
    const listener = createServer((socket) => socket.on("data", (bytes) => calls.push(bytes))).listen(
      join(path, "q.sock"),
    );
    await once(listener, "listening");
    await expect(requestRestart(join(path, "q.sock"), { env: "secret" })).rejects.toMatchObject({
      code: "foreign-folder",
    });
    expect(calls).toEqual([]);
    listener.close();
    await rm(own, { recursive: true });
  });

  test.runIf(process.getuid?.() === 0)(
    "of another user is refused with the user's name, and nothing is sent there",
    async () => {
      await server.listen([socketPath]);
      await chown(socketPath, 1, 1);
      await expect(fetchStatus(socketPath)).rejects.toMatchObject({ code: "foreign-socket", exit: "permission" });
      await chown(socketPath, 0, 0);
      await chown(folder, 1, 1);
      await expect(fetchStatus(socketPath)).rejects.toThrow(/folder .* belongs to "daemon" \(uid 1\), not to you/);
      await expect(listen(join(folder, "llmctl"))).rejects.toThrow(
        /the runtime folder .* belongs to another user: "daemon"/,
      );
      await chown(folder, 0, 0);
    },
  );
});

describe("no client can block a supervisor", () => {
  test("a reader that does not read is disconnected", async () => {
    await server.listen([socketPath]);
    const reader = connect(socketPath);
    reader.write("GET /events HTTP/1.1\r\nhost: x\r\n\r\n");
    await once(reader, "readable");
    reader.pause();
    const closed = once(reader, "close");
    const large = { ...event, message: "x".repeat(1 << 16) };
    // The buffers of the socket and of the reader's stream come on top of the limit.
    for (let sent = 0; sent < 64; sent += 1) {
      server.publish(large);
      await new Promise((resolve) => setImmediate(resolve));
    }
    reader.resume();
    await closed;
    expect(await fetchStatus(socketPath)).toEqual(status);
  });

  /** A reader of events that reads nothing until it is resumed. */
  async function follow(): Promise<Socket> {
    const reader = connect(socketPath).on("error", () => undefined);
    reader.write("GET /events HTTP/1.1\r\nhost: x\r\n\r\n");
    await once(reader, "readable");
    return reader.pause();
  }

  test("many readers that do not read are disconnected before the sum of their buffers is large", async () => {
    await server.listen([socketPath]);
    const readers: Socket[] = [];
    while (readers.length < 40) readers.push(await follow());
    const closed = readers.map((reader) => new Promise((resolve) => reader.on("close", resolve)));
    // Far less than the limit for one reader.
    for (let sent = 0; sent < 10; sent += 1) server.publish({ ...event, message: "x".repeat(1 << 16) });
    for (const reader of readers.slice(0, 20)) reader.resume();
    await Promise.any(closed);
    expect(await fetchStatus(socketPath)).toEqual(status);
    for (const reader of readers) reader.destroy();
  });

  test("the oldest of too many readers is disconnected, and the newest gets the events", async () => {
    await server.listen([socketPath]);
    const readers: Socket[] = [];
    while (readers.length < 64) readers.push(await follow());
    const [first] = readers;
    const closed = new Promise((resolve) => first?.resume().on("close", resolve));
    const events = followEvents(socketPath);
    await events.next();
    await closed;
    server.publish({ ...event, message: "still here" });
    expect((await events.next()).value).toMatchObject({ message: "still here" });
    await events.return(undefined);
    for (const reader of readers) reader.destroy();
  });

  test("an unreadable request is not quoted: it may contain an environment", async () => {
    await server.listen([socketPath]);
    for (const body of ['{"launch":{"env":{"A":"s3cret"', 's3cret"}', '"s3cret"']) {
      expect((await send("POST", "/restart", body)).message).not.toContain("s3cret");
    }
  });

  test("a socket that is created again elsewhere keeps its readers", async () => {
    await server.listen([socketPath]);
    const events = followEvents(socketPath);
    await events.next();
    await rm(socketPath);
    expect(await server.isInPlace()).toBe(false);
    const other = join(folder, "other.sock");
    await server.listen([other]);
    expect(await server.isInPlace()).toBe(true);
    expect(await fetchStatus(other)).toEqual(status);
    server.publish({ ...event, message: "still here" });
    expect((await events.next()).value).toMatchObject({ message: "still here" });
    await events.return(undefined);
  });

  test("a foreign file in the socket's place does not count as its socket", async () => {
    await server.listen([socketPath]);
    await rm(socketPath);
    await writeFile(socketPath, "");
    expect(await server.isInPlace()).toBe(false);
  });
});

function send(
  method: string,
  path: string,
  body: string,
): Promise<{ readonly code: number | undefined; readonly message: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method, path, agent: false, headers: { host: "x" } }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => (text += part));
      response.on("end", () =>
        resolve({ code: response.statusCode, message: (JSON.parse(text) as { message: string }).message }),
      );
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

describe("an impostor in a supervisor's place", () => {
  const head = "HTTP/1.1 200 OK\r\nconnection: close\r\n";

  test.each([
    ["no HTTP", "\0\0\0\0\r\n\r\n", "unreadable-answer"],
    ["no JSON", `${head}\r\nnot JSON`, "unreadable-answer"],
    ["another kind of value", `${head}\r\n[1]`, "unreadable-answer"],
    [
      "a status with another kind of value in it",
      `${head}\r\n${JSON.stringify({ ...status, warnings: [{}] })}`,
      "unreadable-answer",
    ],
    ["an invalid refusal", `HTTP/1.1 409 No\r\nconnection: close\r\n\r\n{"message":7}`, "unreadable-answer"],
    ["an answer that is cut", `${head}content-length: 100\r\n\r\n{`, "answer-cut-off"],
    ["an answer without end", `${head}\r\n${" ".repeat(9 << 20)}`, "unreadable-answer"],
  ])("%s is an error", async (_, words, code) => {
    const impostor = createServer((socket) => {
      socket.on("error", () => undefined); // the client leaves early
      socket.once("data", () => socket.end(words));
    });
    impostor.listen(socketPath);
    await once(impostor, "listening");
    try {
      await expect(fetchStatus(socketPath)).rejects.toMatchObject({ code, at: socketPath });
      await expect(requestStop(socketPath, false)).rejects.toMatchObject({ code, at: socketPath });
    } finally {
      impostor.close();
    }
  });

  test("a malformed event is an error", async () => {
    const impostor = createServer((socket) =>
      socket.once("data", () => socket.end(`${head}\r\n${JSON.stringify(event)}\n{}\n`)),
    );
    impostor.listen(socketPath);
    await once(impostor, "listening");
    const events = followEvents(socketPath);
    expect((await events.next()).value).toEqual(event);
    await expect(events.next()).rejects.toMatchObject({ code: "unreadable-answer" });
    impostor.close();
  });
});

describe("a listener on the socket that is no supervisor", () => {
  async function answerWith(status: number, body: string | Buffer[]): Promise<Server> {
    const other = createHttpServer((_, response) => {
      response.writeHead(status);
      if (typeof body === "string") return void response.end(body);
      // Endless: the same pieces again and again, as fast as they are read.
      const send = (): void => {
        while (!response.destroyed && body.every((piece) => response.write(piece)));
      };
      response.on("drain", send);
      send();
    });
    other.listen(socketPath);
    await once(other, "listening");
    await chmod(socketPath, 0o600);
    return other;
  }

  test.each<[string, number, string | Buffer[]]>([
    ["words that are no JSON", 200, "<html>"],
    ["JSON that nests without end", 200, "[".repeat(1_000_000)],
    ["half an answer", 200, '{"version":'],
    ["null", 200, "null"],
    ["a body without end", 200, [Buffer.alloc(1 << 20, " ")]],
    ["a refusal that is no JSON", 500, "oops"],
    ["a refusal that says nothing", 409, "{}"],
    ["a refusal without end", 409, [Buffer.alloc(1 << 20, " ")]],
  ])("may answer with %s: the error is a typed one", async (_, code, body) => {
    const other = await answerWith(code, body);
    try {
      await expect(fetchStatus(socketPath)).rejects.toMatchObject({ code: "unreadable-answer", exit: "failed" });
    } finally {
      other.close();
    }
  });

  test("may name an unknown exit code", async () => {
    const other = await answerWith(409, JSON.stringify({ message: "no", code: 7, exit: "toString", fix: "wait" }));
    try {
      await expect(fetchStatus(socketPath)).rejects.toMatchObject({ code: "unreadable-answer" });
    } finally {
      other.close();
    }
  });

  test("may send an event that does not end", async () => {
    const other = await answerWith(200, [Buffer.alloc(1 << 20, "x")]);
    try {
      const reading = (async () => {
        for await (const one of followEvents(socketPath)) expect(one).toBeUndefined();
      })();
      await expect(reading).rejects.toMatchObject({ code: "line-too-long" });
    } finally {
      other.close();
    }
  });
});
