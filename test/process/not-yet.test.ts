import { appendFile, copyFile, mkdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { once } from "node:events";
import { createServer } from "node:net";
import { dirname } from "node:path";
import getPort from "get-port";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { llmctl } from "../support/llmctl.ts";
import { count, findServers, readStatus, untilStatus, upDetached } from "../support/processes.ts";
import { demoTarget, fakeLlamaServer, TempHome } from "../support/temp-home.ts";
import { until } from "../support/until.ts";
import { UserSystemd } from "../support/user-systemd.ts";

let home: TempHome;
let systemd: UserSystemd;

const soon = { restart: { backoff: "50ms", backoff_max: "200ms" } };

beforeEach(async () => {
  home = await TempHome.create();
});
afterEach(() => home[Symbol.asyncDispose]());

/** Below a missing folder, as before a file system is mounted. */
const later = (name: string) => home.join("mnt", name);

/** Puts a file there at once, as a mount does. */
async function come(name: string, write: (path: string) => Promise<void>): Promise<void> {
  const folder = dirname(later(name));
  await mkdir(`${folder}.part`);
  await write(`${folder}.part/${name}`);
  await rename(`${folder}.part`, folder);
}

async function install(name = "p"): Promise<void> {
  const { exitCode, stderr } = await systemd.llmctl("systemd", "install", name, "--user", "--from-checkout");
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
}

/** Starts the service and waits until its supervisor waits. @returns the kind of the missing dependency. */
async function startToWait(): Promise<string> {
  await systemd.systemctl("start", "--no-block", "llmctl-p.service");
  const { waitingFor } = await untilStatus(
    home,
    "p",
    "waiting",
    ({ state, waitingFor: cause }) => state === "backoff" && cause != null,
  );
  await systemd.until("p", "StatusText", /; next start in/);
  expect(await systemd.show("p", "ActiveState")).toBe("activating");
  return waitingFor?.kind ?? "";
}

async function expectStarted(): Promise<void> {
  await systemd.until("p", "ActiveState", "active");
  expect(await systemd.show("p", "NRestarts")).toBe("0");
  expect(await readStatus(home, "p")).toMatchObject({
    presence: "live",
    state: "ready",
    runs: 1,
    restarts: 0,
    waitingFor: null,
  });
}

describe("a service that lacks a dependency at its start", () => {
  beforeEach(async () => {
    systemd = await UserSystemd.start(home);
  });
  afterEach(() => systemd[Symbol.asyncDispose]());

  test.each<[string, RegExp, () => Readonly<Record<string, unknown>>, () => Promise<void>]>([
    [
      "the folder of its model",
      /^model-missing$/,
      () => ({ model: later("m.gguf") }),
      () => come("m.gguf", (path) => copyFile(demoTarget, path)),
    ],
    [
      "the folder of its draft",
      /^model-missing$/,
      () => ({ draft: { model: later("d.gguf") } }),
      () => come("d.gguf", (path) => copyFile(demoTarget, path)),
    ],
    [
      "its program",
      /^binary-missing$/,
      () => ({ llama: { binary: later("server") } }),
      () =>
        come("server", (path) =>
          writeFile(path, `#!/bin/sh\nexec ${process.execPath} ${fakeLlamaServer} "$@"\n`, { mode: 0o755 }),
        ),
    ],
    [
      "the file of its keys",
      /missing|refused/,
      () => ({ server: { api_key_file: later("keys") } }),
      () => come("keys", (path) => writeFile(path, "secret\n", { mode: 0o600 })),
    ],
  ])("waits for %s, and starts when it appears", async (_, kind, lacking, comes) => {
    await home.writeFakeProfile("p", {}, { ...soon, ...lacking() });
    await install();
    expect(await startToWait()).toMatch(kind);
    await comes();
    await expectStarted();
  });

  test("waits for a device whose driver is loaded later", async () => {
    await writeFile(
      home.join("server"),
      `#!/bin/sh\n[ -e ${home.join("driver")} ] && export FAKE_LLAMA='{"devices":["CUDA0: a GPU (1 MiB, 1 ` +
        `MiB free)"]}'\n` +
        `exec ${process.execPath} ${fakeLlamaServer} "$@"\n`,
      { mode: 0o755 },
    );
    await home.writeFakeProfile("p", {}, { ...soon, devices: ["CUDA0"], llama: { binary: home.join("server") } });
    await install();
    expect(await startToWait()).toBe("flag-refused");
    await writeFile(home.join("driver"), "");
    await expectStarted();
  });

  test("does not wait for a dependency that will not appear by itself, and names it", async () => {
    await writeFile(home.join("m.gguf"), "no model at all");
    await home.writeFakeProfile("p", {}, { ...soon, model: home.join("m.gguf") });
    await install();
    await systemd.systemctl("start", "llmctl-p.service");
    await systemd.until("p", "ActiveState", "failed");
    expect(await systemd.show("p", "NRestarts")).toBe("0");
    const { stdout } = await systemd.llmctl("systemd", "status", "p", "--user");
    expect(stdout).toMatch(/^failure +not started: .*m\.gguf.*\[not-gguf\]/m);
    expect(await readStatus(home, "p")).toMatchObject({
      presence: "gone",
      state: "failed",
      lastExit: { kind: "not-gguf" },
    });
    expect((await llmctl(["events", "p"], { home })).stdout).toMatch(/failed +not started: .*\[not-gguf\]$/);
  });

  test("can be stopped while it waits, and is not started again", async () => {
    await home.writeFakeProfile("p", {}, { ...soon, model: later("m.gguf") });
    await install();
    await startToWait();
    expect(await systemd.llmctl("down", "p")).toMatchObject({ exitCode: 0, stdout: 'stopped "p"' });
    expect(await systemd.show("p", "ActiveState")).toMatch(/^(failed|inactive)$/);
    expect(await systemd.show("p", "NRestarts")).toBe("0");
  });

  test("waits for the rest of a model that is still being copied", async () => {
    await home.writeFakeProfile("p", {}, { restart: { backoff: "3s", backoff_max: "3s" }, model: later("m.gguf") });
    await install();
    await startToWait();
    const whole = await readFile(demoTarget);
    await come("m.gguf", (path) => writeFile(path, whole.subarray(0, whole.length - 1000)));
    await untilStatus(home, "p", "waiting for the rest", ({ waitingFor }) => waitingFor?.kind === "truncated");
    await appendFile(later("m.gguf"), whole.subarray(whole.length - 1000));
    await expectStarted();
  });

  test("stops waiting for a model that arrives damaged", async () => {
    await home.writeFakeProfile("p", {}, { ...soon, model: later("m.gguf") });
    await install();
    await startToWait();
    await come("m.gguf", (path) => writeFile(path, "no model at all"));
    await systemd.until("p", "ActiveState", "failed");
    expect(await systemd.show("p", "ExecMainStatus")).toBe("66");
    const { stdout } = await systemd.llmctl("systemd", "status", "p", "--user");
    expect(stdout).toMatch(/^failure +.*m\.gguf.*\[not-gguf\]/m);
  });

  test("waits for longer than systemd's time limit of a start", async () => {
    await home.writeFakeProfile("p", {}, { ...soon, model: later("m.gguf") });
    await install();
    const dropIns = home.join(".config/systemd/user/llmctl-p.service.d");
    await mkdir(dropIns);
    await writeFile(`${dropIns}/test.conf`, "[Service]\nTimeoutStartSec=2s\n");
    await systemd.systemctl("daemon-reload");
    await startToWait();
    // Each check is at least 200 ms after the last one.
    const eventLog = home.join("state/p/supervisor.log");
    await until(
      "it has looked 20 times",
      async () => count(await readFile(eventLog, "utf8"), "backoff model-missing") >= 20,
    );
    expect(await systemd.show("p", "ActiveState")).toBe("activating");
    await come("m.gguf", (path) => copyFile(demoTarget, path));
    await expectStarted();
  });

  test("does not make the person who installs it wait", async () => {
    await home.writeFakeProfile("p", {}, { ...soon, model: later("m.gguf") });
    const installed = await systemd.llmctl("systemd", "install", "p", "--user", "--from-checkout", "--now");
    expect(installed.exitCode).toBe(69);
    expect(installed.stderr).toMatch(
      /llmctl-p\.service waits: model file "\S+m\.gguf" is missing\n.*\n? *fix: .*it starts by itself/,
    );
    await come("m.gguf", (path) => copyFile(demoTarget, path));
    await expectStarted();
  });

  test("waits for the dependency of a profile that it depends on and that has no unit", async () => {
    await home.writeFakeProfile("base", {}, { ...soon, model: later("m.gguf") });
    await home.writeFakeProfile("p", {}, { depends_on: ["base"] });
    await install();
    await systemd.systemctl("start", "--no-block", "llmctl-p.service");
    await systemd.until("p", "StatusText", /^"base", which it depends on, waits: model file .* is missing$/);
    await come("m.gguf", (path) => copyFile(demoTarget, path));
    await systemd.until("p", "ActiveState", "active");
    expect(await readStatus(home, "base")).toMatchObject({ presence: "live", state: "ready" });
    await systemd.llmctl("down", "--all");
  });

  test("has its folders mounted first, with any name", async () => {
    const folder = home.join(`a "b" it's 50% \\x`);
    await mkdir(folder);
    await symlink(demoTarget, `${folder}/m.gguf`);
    await home.writeFakeProfile("p", {}, { model: `${folder}/m.gguf` });
    await install();
    const mounts = (await systemd.show("p", "RequiresMountsFor")).replaceAll(/\\(.)/g, "$1");
    for (const path of [folder, dirname(demoTarget), home.join("config/profiles"), dirname(fakeLlamaServer)])
      expect(mounts).toContain(path);
    expect(await systemd.show("p", "LoadState")).toBe("loaded");
    await systemd.systemctl("start", "llmctl-p.service");
    await expectStarted();
  });

  test("takes a restart's new plan while it waits", async () => {
    await home.writeFakeProfile("p", {}, { restart: { backoff: "10m", backoff_max: "10m" }, model: later("m.gguf") });
    await install();
    await startToWait();
    await home.writeFakeProfile("p");
    expect((await systemd.llmctl("restart", "p")).exitCode).toBe(0);
    await expectStarted();
  });
});

test("a service waits for an address that appears later", async () => {
  await using own = await UserSystemd.start(home, { network: true });
  systemd = own;
  await home.writeFakeProfile("p", {}, { ...soon, server: { host: "192.0.2.7", port: 8123 } });
  await install();
  expect(await startToWait()).toBe("host-not-local");
  await own.run("ip", "addr", "add", "192.0.2.7/32", "dev", "lo");
  await own.until("p", "ActiveState", "active");
  expect(await own.show("p", "NRestarts")).toBe("0");
});

test("a service whose server picks its port waits for its address, too", async () => {
  await using own = await UserSystemd.start(home, { network: true });
  systemd = own;
  await home.writeFakeProfile("p", {}, { ...soon, server: { host: "192.0.2.7" } });
  await install();
  expect(await startToWait()).toBe("host-not-local");
  await own.run("ip", "addr", "add", "192.0.2.7/32", "dev", "lo");
  await own.until("p", "ActiveState", "active");
});

describe("a start by hand", () => {
  test.each<[string, () => Readonly<Record<string, unknown>>, number, RegExp]>([
    ["a model", () => ({ model: later("m.gguf") }), 66, /m\.gguf.*is missing/],
    ["a program", () => ({ llama: { binary: later("server") } }), 66, /does not exist/],
    ["an address", () => ({ server: { host: "192.0.2.7", port: 8123 } }), 69, /is not an address of this machine/],
    [
      "an address, with a port of the server's choice",
      () => ({ server: { host: "192.0.2.7" } }),
      69,
      /is not an address of this machine/,
    ],
  ])("fails at once without %s", async (_, lacking, code, message) => {
    await home.writeFakeProfile("p", {}, { ...soon, ...lacking() });
    const { exitCode, stderr } = await llmctl(["up", "-d", "p"], { home });
    expect({ exitCode, stderr }).toEqual({ exitCode: code, stderr: expect.stringMatching(message) });
  });
});

describe("a restart of a server that has been ready", () => {
  /** Ends the server, and removes a dependency before the next start half a second later. */
  async function loseServer(pid: number): Promise<void> {
    process.kill(pid, "SIGKILL");
    await untilStatus(home, "p", "put off", ({ state }) => state === "backoff");
  }

  const slow = { backoff: "500ms", backoff_max: "500ms" };
  const waitsFor = (kind: string) =>
    untilStatus(home, "p", `waiting for ${kind}`, ({ waitingFor }) => waitingFor?.kind === kind);

  test("waits for its port, for longer than any crash loop, and counts no failure", async () => {
    const port = await getPort();
    const eventLog = home.join("state/p/supervisor.log");
    await home.writeFakeProfile("p", {}, { server: { port }, restart: { ...slow, max_failures: 2 } });
    const { pid } = await upDetached(home, "p");
    await loseServer(pid);
    const holder = createServer();
    await once(holder.listen(port, "127.0.0.1"), "listening");
    const { waitingFor } = await waitsFor("port-in-use");
    expect(waitingFor?.message).toContain(`pid ${process.pid}`);
    await until(
      "it has looked three times",
      async () => count(await readFile(eventLog, "utf8"), "backoff port-in-use") >= 3,
    );
    await once(holder.close(), "close");
    await untilStatus(home, "p", "ready", ({ state, runs }) => state === "ready" && runs === 2);
    expect((await llmctl(["down", "p"], { home })).exitCode).toBe(0);
  });

  test("waits for its model, and can be stopped meanwhile", async () => {
    await come("m.gguf", (path) => copyFile(demoTarget, path));
    await home.writeFakeProfile("p", {}, { model: later("m.gguf"), restart: slow });
    const { pid } = await upDetached(home, "p");
    await loseServer(pid);
    await rm(later(""), { recursive: true });
    await waitsFor("model-missing");
    expect((await llmctl(["down", "p"], { home })).exitCode).toBe(0);
    expect(await findServers(home)).toEqual([]);
  });

  test("waits when only the server itself notices that a dependency is missing", async () => {
    const fault = home.join("fault");
    const line = "E srv start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 80";
    const script =
      `#!/bin/sh\n[ ! -e ${fault} ] || { echo "${line}" >&2; exit 1; }\nexec ${process.execPath} ` +
      `${fakeLlamaServer} "$@"\n`;
    await writeFile(home.join("server"), script, { mode: 0o755 });
    await home.writeFakeProfile("p", {}, { ...soon, llama: { binary: home.join("server") } });
    const { pid } = await upDetached(home, "p");
    await writeFile(fault, "");
    process.kill(pid, "SIGKILL");
    await waitsFor("port-in-use");
    await rm(fault);
    const { runs, restarts } = await untilStatus(home, "p", "ready again", ({ state }) => state === "ready");
    expect(runs).toBeGreaterThan(restarts);
    expect((await llmctl(["down", "p"], { home })).exitCode).toBe(0);
  });
});
