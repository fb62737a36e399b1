import { once } from "node:events";
import { connect, type Socket } from "node:net";
import getPort from "get-port";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MetricsServer, type MetricsText } from "../../../src/control/metrics-server.ts";

const text = "llmctl_starts_total 1\n";

let server: MetricsServer;
let port: number;
let asked: number;
let failures: string[];
let read: () => Promise<MetricsText>;

beforeEach(async () => {
  port = await getPort({ host: "127.0.0.1" });
  asked = 0;
  failures = [];
  read = async () => ({ contentType: "text/plain", text });
  server = new MetricsServer({
    read: () => {
      asked += 1;
      return read();
    },
    onFailure: (failure) => failures.push(failure),
  });
  await server.listen("127.0.0.1", port);
});

afterEach(() => server.close());

/** A connection that treats an error as its end. */
function dial(): Socket {
  return connect({ host: "127.0.0.1", port }).on("error", () => undefined);
}

/** The answer to these bytes, until the server closes the connection. */
async function say(...words: readonly (string | Buffer)[]): Promise<string> {
  const socket = dial();
  let answer = "";
  socket.setEncoding("latin1").on("data", (part: string) => (answer += part));
  const closed = new Promise((resolve) => socket.on("close", resolve));
  for (const word of words) socket.write(word);
  await closed;
  return answer;
}

const head = (line: string, ...lines: readonly string[]) => [line, "host: x", ...lines, "", ""].join("\r\n");

describe("the metrics port", () => {
  test.each(["GET /metrics HTTP/1.1", "GET /metrics?name[]=x HTTP/1.1", "GET /metrics HTTP/1.0", "GET /metrics"])(
    "answers %s, and closes",
    async (line) => {
      const answer = await say(head(line));
      expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
      expect(answer.endsWith(`\r\n\r\n${text}`)).toBe(true);
    },
  );

  test("answers HEAD without a body", async () => {
    const answer = await say(head("HEAD /metrics HTTP/1.1"));
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(answer.endsWith("\r\n\r\n")).toBe(true);
  });

  test.each([
    ["another path", [head("GET / HTTP/1.1")], "404"],
    [
      "a page that posts",
      [head("POST /metrics HTTP/1.1", "origin: https://evil.example", "content-length: 2"), "{}"],
      "405",
    ],
    ["a method that changes", [head("DELETE /metrics HTTP/1.1")], "405"],
    ["a preflight of a browser", [head("OPTIONS /metrics HTTP/1.1", "access-control-request-method: GET")], "405"],
    ["an unknown method", [head("BREW /metrics HTTP/1.1")], "400"],
    ["an upload that stays half", [head("POST /metrics HTTP/1.1", "content-length: 1000000"), "x"], "405"],
    [
      "a chunked body with trailers",
      [head("PUT /metrics HTTP/1.1", "transfer-encoding: chunked"), "1\r\nx\r\n0\r\na: b\r\n\r\n"],
      "405",
    ],
    ["a header that is too large", [head("GET /metrics HTTP/1.1", `x: ${"x".repeat(1 << 20)}`)], "431"],
    ["too many headers", [head("GET /metrics HTTP/1.1", ...Array.from({ length: 5000 }, (_, i) => `a${i}: b`))], "431"],
    ["no host", ["GET /metrics HTTP/1.1\r\n\r\n"], "400"],
    ["what no HTTP is", ["metrics, please\r\n\r\n"], "400"],
    ["a greeting of TLS", [Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3])], "400"],
    ["an unknown expectation", [head("GET /metrics HTTP/1.1", "expect: the-unexpected")], "417"],
    ["two lengths", [head("POST /metrics HTTP/1.1", "content-length: 1", "transfer-encoding: chunked")], "400"],
  ])("refuses %s, and closes", async (_, words, code) => {
    expect(await say(...words)).toMatch(new RegExp(`^HTTP/1\\.1 ${code} `));
    expect(asked).toBe(0);
  });

  test("answers 100 Continue, then refuses the method", async () => {
    const answer = await say(head("PUT /metrics HTTP/1.1", "expect: 100-continue", "content-length: 9"));
    expect(answer).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 405 /);
  });

  test("supports no other protocol", async () => {
    expect(await say(head("GET /metrics HTTP/1.1", "connection: upgrade", "upgrade: websocket"))).toMatch(
      /^HTTP\/1\.1 200 /,
    );
    expect(await say(head("CONNECT example.com:443 HTTP/1.1"))).toBe("");
  });

  test("answers the first of many requests at once, asks for no more, and closes", async () => {
    const one = head("GET /metrics HTTP/1.1");
    expect((await say(one.repeat(4))).split("HTTP/1.1 200").length).toBe(2);
    expect(asked).toBe(1);
    await say(one.repeat(20_000));
    expect(asked).toBe(2);
  });

  test("does not tell the network why it cannot render the metrics", async () => {
    read = () => Promise.reject(new Error("no /home/ada/x.js"));
    const answer = await say(head("GET /metrics HTTP/1.1"));
    expect(answer).toMatch(/^HTTP\/1\.1 500 /);
    expect(answer).not.toContain("ada");
    expect(failures).toEqual(["cannot render the metrics: Error: no /home/ada/x.js"]);
  });

  test("closes the oldest of too many connections, and goes on answering", async () => {
    const sockets: Socket[] = [];
    const closed = new Set<number>();
    for (let made = 0; made < 40; made += 1) {
      const socket = dial();
      socket.on("close", () => closed.add(made));
      sockets.push(socket);
      await once(socket, "connect");
    }
    expect(await say(head("GET /metrics HTTP/1.1"))).toContain(text);
    const [first, last] = [sockets[0], sockets.at(-1)];
    if (first?.closed === false) await once(first, "close");
    expect([...closed]).toEqual(Array.from({ length: 9 }, (_, i) => i));
    expect(last?.closed).toBe(false);
    for (const socket of sockets) socket.destroy();
  });
});
