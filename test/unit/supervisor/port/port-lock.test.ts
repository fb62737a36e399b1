import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { PortLock } from "../../../../src/supervisor/port/port-lock.ts";
import { stateUnwritable } from "../../../../src/supervisor/state/file-lock.ts";
import { FakeFlock } from "../../../support/fake-flock.ts";

let state: string;
let locks: FakeFlock;
beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), "llmctl-ports-"));
  locks = new FakeFlock();
});
afterEach(() => rmSync(state, { recursive: true }));

interface Address {
  readonly host?: string;
  readonly port?: number;
  readonly socketPath?: string;
}

const open = () => new PortLock(state, locks.flock);
const at = (name: string, { host = "127.0.0.1", port = 8111, ...more }: Address = {}) => ({
  name,
  host,
  port,
  ...more,
});

/** Whether a second profile can reserve an address beside the first one. */
async function reserveBoth(first: Address, second: Address): Promise<boolean> {
  const [one, two] = [open(), open()];
  expect(await one.take(at("first", first))).toBeUndefined();
  const refused = await two.take(at("second", second));
  one.release();
  // What was refused left nothing locked.
  const again = open();
  if (refused !== undefined) expect(await again.take(at("third", first))).toBeUndefined();
  again.release();
  two.release();
  return refused === undefined;
}

describe("an address that a profile has reserved", () => {
  test.each<[Address, Address]>([
    [{}, {}],
    [{}, { host: "localhost" }],
    [{}, { host: "127.1" }],
    [{}, { host: "::ffff:127.0.0.1" }],
    [{ host: "::1" }, { host: "0:0:0:0:0:0:0:1" }],
    [{ host: "fe80::1%eth0" }, { host: "fe80:0::1%eth0" }],
    [{}, { host: "0.0.0.0" }],
    [{ host: "0.0.0.0" }, {}],
    [{ host: "::" }, { host: "0.0.0.0" }],
    [{ host: "::1" }, { host: "::" }],
    [{ socketPath: "/run/a.sock" }, { socketPath: "/run/a.sock" }],
  ])("%j is refused to another one as %j", async (first, second) => {
    expect(await reserveBoth(first, second)).toBe(false);
  });

  test.each<[Address, Address]>([
    [{}, { port: 8112 }],
    [{}, { host: "127.0.0.2" }],
    [{}, { host: "::1" }],
    [{ host: "fe80::1%eth0" }, { host: "fe80::1%eth1" }],
    [{ port: 0 }, { port: 0 }],
    [{ host: "0.0.0.0" }, { port: 0 }],
    [{ socketPath: "/run/a.sock" }, { socketPath: "/run/b.sock" }],
    [{ socketPath: "/run/a.sock" }, {}],
  ])("%j leaves another one %j", async (first, second) => {
    expect(await reserveBoth(first, second)).toBe(true);
  });

  test.each<[Address, string]>([
    [{}, "port 8111"],
    [{ host: "0.0.0.0" }, "port 8111"],
    [{ socketPath: "/run/a.sock" }, "the socket /run/a.sock"],
  ])("%j is refused with the name of the profile that has it", async (address, what) => {
    await open().take(at("coder", address));
    expect(await open().take(at("p", address))).toEqual({
      kind: "port-in-use",
      message: `${what} is taken by the profile "coder"`,
      fix: { before: "stop it with", run: ["down", "coder"], or: "set another server.port" },
      permanent: true,
      mayCome: true,
      exit: "unavailable",
    });
  });

  test("is refused without a name to one that wants all addresses, as several may have the port", async () => {
    await open().take(at("coder"));
    expect(await open().take(at("p", { host: "0.0.0.0" }))).toEqual({
      kind: "port-in-use",
      message: "port 8111 is taken by another profile",
      fix: { run: ["ps"], after: "to see which one; stop it, or set another server.port" },
      permanent: true,
      mayCome: true,
      exit: "unavailable",
    });
  });

  test("stays its own at the next start, and is looked at no more", async () => {
    const own = open();
    await own.take(at("p"));
    const { calls } = locks;
    expect(await own.take(at("p"))).toBeUndefined();
    expect(locks.calls).toBe(calls);
    expect(await open().take(at("q"))).toMatchObject({ kind: "port-in-use" });
  });

  test.each<[string, (own: PortLock) => unknown]>([
    ["is released", (own) => own.release()],
    ["is changed", (own) => own.take(at("p", { port: 8112 }))],
    ["is left for a port of the server's own choice", (own) => own.take(at("p", { port: 0 }))],
  ])("is free again when it %s", async (_, change) => {
    const own = open();
    await own.take(at("p"));
    await change(own);
    expect(await open().take(at("q", { host: "0.0.0.0" }))).toBeUndefined();
  });

  test("can be had again by the one that has released it", async () => {
    const own = open();
    await own.take(at("p"));
    own.release();
    await own.take(at("p"));
    expect(await open().take(at("q"))).toMatchObject({ kind: "port-in-use" });
  });

  test("is asked for again after a refusal", async () => {
    const [own, other] = [open(), open()];
    await other.take(at("q"));
    expect(await own.take(at("p"))).toMatchObject({ kind: "port-in-use" });
    other.release();
    expect(await own.take(at("p"))).toBeUndefined();
    expect(await open().take(at("q"))).toMatchObject({ kind: "port-in-use" });
  });
});

test("a name that cannot be resolved is reserved as it is", async () => {
  const host = "no.such.host.invalid";
  expect(await open().take(at("p", { host }))).toBeUndefined();
  expect(await open().take(at("q", { host }))).toMatchObject({ kind: "port-in-use" });
});

test("a server that chooses its port reserves nothing", async () => {
  await open().take(at("p", { port: 0 }));
  expect(readdirSync(state)).toEqual([]);
});

describe("a lock that cannot be made", () => {
  test("is a permanent cause with its own words", async () => {
    writeFileSync(join(state, ".ports"), "mine");
    expect(await open().take(at("p"))).toEqual({
      kind: "state-unwritable",
      message: `cannot write ${join(state, ".ports", "8111.lock")}: a file is in the place of a folder`,
      exit: "io",
      fix: "remove that file, or set LLMCTL_HOME to a folder that can be written",
      permanent: true,
    });
  });

  test("for a shortage is one that passes", async () => {
    const error = Object.assign(new Error("EMFILE: too many open files"), { code: "EMFILE" });
    const short = new PortLock(state, () => {
      throw stateUnwritable("/p.lock", error);
    });
    expect(await short.take(at("p"))).toMatchObject({ permanent: false, mayCome: true });
  });

  test("by a bug is a bug", async () => {
    const broken = new PortLock(state, () => {
      throw new TypeError("a bug");
    });
    await expect(broken.take(at("p"))).rejects.toThrow(TypeError);
  });
});

test("a folder that others may write is refused", async () => {
  await open().take(at("p"));
  chmodSync(join(state, ".ports"), 0o777);
  expect(await open().take(at("q", { port: 1 }))).toMatchObject({ kind: "foreign-folder", exit: "permission" });
});
