import { once } from "node:events";
import { createServer, type AddressInfo, Server } from "node:net";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { findListeningPort, findPortOwner } from "../../../../src/supervisor/port/listening-sockets.ts";
import { checkHostAddress, checkPort } from "../../../../src/supervisor/port/port-check.ts";

let holder: Server;
let port: number;

beforeEach(async () => {
  holder = createServer();
  await once(holder.listen(0, "127.0.0.1"), "listening");
  port = (holder.address() as AddressInfo).port;
});
afterEach(() => holder.close());

describe("a port in use", () => {
  test("is refused permanently, and the error names its owner", async () => {
    const cause = await checkPort({ host: "127.0.0.1", port });
    expect(cause).toMatchObject({
      kind: "port-in-use",
      permanent: true,
      exit: "unavailable",
      message: expect.stringMatching(new RegExp(`^port ${port} is in use by .+ \\(pid ${process.pid}\\)$`)),
      fix: expect.stringMatching(/\(\d+ is free now\)/),
    });
  });

  test("on one address is in use for all addresses too", async () => {
    expect(await checkPort({ host: "0.0.0.0", port })).toMatchObject({ kind: "port-in-use" });
  });

  test.each(["::ffff:127.0.0.1", "::FFFF:7f00:1", "0:0:0:0:0:ffff:127.0.0.1", "0:0:0:0:0:0:0:0"])(
    "is in use for the same address in another form, %s",
    async (host) => {
      expect(await checkPort({ host, port })).toMatchObject({ kind: "port-in-use" });
    },
  );
});

test("a closed port is free and has no owner", async () => {
  await once(holder.close(), "close");
  expect(await checkPort({ host: "127.0.0.1", port })).toBeUndefined();
  expect(findPortOwner(port)).toBeUndefined();
});

test("a listening process is found, one that does not listen is not", async () => {
  expect(findListeningPort(process.pid)).toEqual(expect.any(Number));
  expect(findListeningPort(2 ** 30)).toBeUndefined();
});

test("port 0 is always free", async () => {
  expect(await checkPort({ host: "no.such.host.invalid", port: 0 })).toBeUndefined();
});

test("a port in use and a missing address are temporary causes", async () => {
  expect(await checkPort({ host: "127.0.0.1", port })).toMatchObject({ permanent: true, mayCome: true });
  expect(await checkPort({ host: "192.0.2.1", port })).toMatchObject({ permanent: true, mayCome: true });
});

test.each(["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"])(
  "a port that cannot be bound for now (%s) is a temporary cause",
  async (code) => {
    const listening = vi.spyOn(Server.prototype, "listen").mockImplementation(function (this: Server) {
      this.emit("error", Object.assign(new Error(`listen ${code}`), { code, syscall: "listen" }));
      return this;
    });
    expect(await checkPort({ host: "127.0.0.1", port })).toMatchObject({
      kind: "port-unusable",
      permanent: false,
      mayCome: true,
    });
    listening.mockRestore();
  },
);

describe("an address without a port", () => {
  test.each(["127.0.0.1", "0.0.0.0", "localhost", "/run/x.sock", "x.sock"])(
    "belongs to this machine: %s",
    async (host) => {
      expect(await checkHostAddress(host)).toBeUndefined();
    },
  );

  test.each(["192.0.2.1", "2001:db8::1", "fe80::1%nosuch0", "no.such.host.invalid"])(
    "does not belong to this machine yet: %s",
    async (host) => {
      expect(await checkHostAddress(host)).toMatchObject({
        kind: "host-not-local",
        permanent: true,
        mayCome: true,
        exit: "unavailable",
      });
    },
  );
});

test("an address of another machine is an error that says so", async () => {
  expect(await checkPort({ host: "192.0.2.1", port })).toMatchObject({
    kind: "host-not-local",
    message: '"192.0.2.1" is not an address of this machine',
    exit: "unavailable",
  });
});
