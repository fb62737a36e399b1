import { once } from "node:events";
import { createServer } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { findListeningPort, findPortOwner, isListenedOn } from "../../../../src/supervisor/port/listening-sockets.ts";

const servers: ReturnType<typeof createServer>[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function listen(host: string): Promise<number> {
  const server = createServer().listen(0, host);
  servers.push(server);
  await once(server, "listening");
  return (server.address() as { port: number }).port;
}

describe("a listening process", () => {
  test.each([
    ["127.0.0.1", ["127.0.0.1", "0.0.0.0", "::", "localhost", undefined], ["127.0.0.2", "::1"]],
    ["127.1.2.3", ["127.1.2.3", "0.0.0.0"], ["127.0.0.1", "127.3.2.1"]],
    ["0.0.0.0", ["127.0.0.1", "127.0.0.2", "0.0.0.0"], []],
    ["::1", ["::1", "::", "0:0:0:0:0:0:0:1", "::0001", "::1%lo", "0:0:0:0:0:0:0:0"], ["127.0.0.1", "::2"]],
    ["::", ["::1", "127.0.0.1", "::"], []],
    ["::ffff:127.0.0.5", ["127.0.0.5", "::ffff:127.0.0.5", "::FFFF:7f00:5"], ["127.0.0.1", "::ffff:127.0.0.1"]],
  ])("on %s is found for %j and not for %j", async (host, yes, no) => {
    const port = await listen(host);
    for (const one of yes) {
      expect([one, isListenedOn(port, one)]).toEqual([one, true]);
      expect(findPortOwner(port, one)?.pid).toBe(process.pid);
    }
    for (const one of no) {
      expect([one, isListenedOn(port, one)]).toEqual([one, false]);
      expect(findPortOwner(port, one)).toBeUndefined();
    }
    expect(findListeningPort(process.pid)).toBeTypeOf("number");
  });
});
