import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { makeHttpClient } from "../../../../src/hub/http/http-client.ts";
import { httpGet } from "../../../../src/hub/http/http-get.ts";
import { connect } from "../../../../src/hub/http/hub-access.ts";
import { getFromHub, type HubAnswer } from "../../../../src/hub/http/hub-connection.ts";
import { TransientError } from "../../../../src/hub/http/retry.ts";

let server: Server;
let port = 0;
/** The server's behaviour for a connection, and for each request on it. */
let onConnection: (socket: Socket) => void = () => {};
let onRequest: (socket: Socket, head: string) => void = () => {};
const sockets = new Set<Socket>();

beforeEach(async () => {
  onConnection = () => {};
  server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("data", (head) => onRequest(socket, head.toString("latin1")));
    onConnection(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  port = (server.address() as AddressInfo).port;
});

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  server.close();
  await once(server, "close");
});

const hello = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

async function readText({ chunks }: HubAnswer): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const chunk of chunks) pieces.push(chunk);
  return Buffer.concat(pieces).toString();
}

function get(url = `http://127.0.0.1:${port}/file`, token?: string, stallTimeoutMs = 30_000): Promise<string> {
  const { signal } = new AbortController();
  const hub = { endpoint: new URL(url).origin, offline: false, ...(token === undefined ? {} : { token }) };
  return getFromHub(url, {}, connect({ hub, signal, stallTimeoutMs }), readText);
}

describe("an answer", () => {
  test.each([
    ["that changes the protocol", "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"],
    ["with headers without end", `HTTP/1.1 200 OK\r\nx: ${"x".repeat(100_000)}`],
    ["that is not HTTP", "SSH-2.0-OpenSSH_9.6\r\n"],
    ["with two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello"],
    ["that ends before its length", "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello"],
  ])("%s is a temporary error, and ends the request", async (_, answer) => {
    onRequest = (socket) => socket.end(answer);
    await expect(get()).rejects.toBeInstanceOf(TransientError);
  });

  test("that stalls in its headers is aborted", async () => {
    onRequest = (socket) => socket.write("HTTP/1.1 200 OK\r\n");
    await expect(get(undefined, undefined, 50)).rejects.toThrow("no byte for 0.05 s");
  });
});

describe("a connection", () => {
  test("serves one request after the other", async () => {
    let connections = 0;
    onConnection = () => (connections += 1);
    onRequest = (socket) => socket.write(hello);
    for (let i = 0; i < 5; i += 1) expect(await get()).toBe("hello");
    expect(connections).toBe(1);
  });

  test("that is reset between two requests causes no error", async () => {
    onRequest = (socket) => void socket.write(hello);
    expect(await get()).toBe("hello");
    const [socket] = sockets;
    const closed = once(socket as Socket, "close");
    socket?.resetAndDestroy();
    await closed;
    expect(await get()).toBe("hello");
  });

  test("without a reader holds the server back", async () => {
    let sentBytes = 0;
    const most = 64 << 20;
    onRequest = (socket) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${most}\r\n\r\n`);
      const send = (): void => {
        for (; sentBytes < most; sentBytes += 1 << 16) if (!socket.write(Buffer.alloc(1 << 16))) return;
      };
      socket.on("drain", send);
      send();
    };
    const signal = AbortSignal.timeout(30_000);
    const { body } = await httpGet(`http://127.0.0.1:${port}/`, { headers: {}, signal });
    let before = -1;
    while (before !== sentBytes) {
      before = sentBytes;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    // The socket buffers on both sides, and one chunk.
    expect(sentBytes).toBeLessThan(16 << 20);
    let readBytes = 0;
    for await (const chunk of body ?? []) readBytes += chunk.length;
    expect(readBytes).toBe(most);
  });

  test("that is never established is closed when the request is aborted", async () => {
    const reached = new Promise<Socket>((resolve) => (onConnection = resolve));
    const stop = new AbortController();
    const answer = httpGet(`https://127.0.0.1:${port}/`, { headers: {}, signal: stop.signal });
    const socket = await reached; // this server never answers with TLS
    stop.abort(new Error("enough"));
    await Promise.all([expect(answer).rejects.toThrow("enough"), once(socket, "close")]);
  });

  test("goes to an IPv6 address", async () => {
    const six = createServer((socket) => socket.on("data", () => socket.end(hello)));
    six.listen(0, "::1");
    await once(six, "listening");
    expect(await get(`http://[::1]:${(six.address() as AddressInfo).port}/file`)).toBe("hello");
    six.close();
  });
});

describe("a name and a password in an address", () => {
  test("are sent, unless there is a token", async () => {
    const seen: (string | undefined)[] = [];
    onRequest = (socket, head) => {
      seen.push(/authorization: (.*)\r\n/i.exec(head)?.[1]);
      socket.write(hello);
    };
    const url = `http://me:p%40ss@127.0.0.1:${port}/file`;
    await get(url);
    await get(url, "hf_x");
    await get();
    expect(seen).toEqual([`Basic ${Buffer.from("me:p@ss").toString("base64")}`, "Bearer hf_x", undefined]);
  });
});

describe("a proxy", () => {
  test.each(["ftp://proxy.example", "proxy.example:3128", "http://"])("at %s is refused", async (address) => {
    await expect(makeHttpClient({ https_proxy: address })).rejects.toMatchObject({ code: "bad-setting" });
  });

  test("in front of an https address is asked for a tunnel, with its password", async () => {
    const heads: string[] = [];
    onRequest = (socket, head) => {
      heads.push(head);
      socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
    };
    const { dispatcher } = await makeHttpClient({ HTTPS_PROXY: `http://me:secret@127.0.0.1:${port}` });
    const asked = dispatcher.request({ origin: "https://hub.invalid", path: "/", method: "GET" });
    await expect(asked).rejects.toThrow("403");
    expect(heads[0]).toMatch(/^CONNECT hub\.invalid:443 HTTP\/1\.1\r\n/);
    expect(heads[0]).toContain(`proxy-authorization: Basic ${Buffer.from("me:secret").toString("base64")}`);
  });
});
