import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, chown, cp, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { joinPatterns } from "../support/join-patterns.ts";
import { llmctl, type RunOptions, startLlmctl } from "../support/llmctl.ts";
import { asUser } from "../support/namespaces.ts";
import { findServers, isAlive, readStatus, untilGone, untilStatus, upDetached } from "../support/processes.ts";
import { TempHome } from "../support/temp-home.ts";
import { until } from "../support/until.ts";

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
});
afterEach(() => home[Symbol.asyncDispose]());

const quick = { health: { interval: "200ms" } };
const statePath = (...parts: string[]) => home.join("state", ...parts);
const socketPath = () => home.join("run", "p.sock");

/** Expects one supervisor and one server, from the view of each command. */
async function expectOne(pid: number, options: Partial<RunOptions> = {}): Promise<void> {
  const [status] = JSON.parse((await llmctl(["ps", "--json"], { home, ...options })).stdout) as {
    presence: string;
    pid: number;
  }[];
  expect(status).toMatchObject({ name: "p", presence: "live", state: "ready", pid });
  const again = await llmctl(["up", "-d", "p"], { home, ...options });
  expect(again.stdout).toContain('"p" is already running');
  expect(again.exitCode).toBe(0);
  expect(await findServers(home)).toEqual([pid]);
}

describe("with any login", () => {
  // As after a login: llmctl's folders come from HOME and the XDG variables.
  const runtime = () => home.join("runtime");
  const session = () => ({ LLMCTL_HOME: "", XDG_RUNTIME_DIR: runtime(), XDG_CONFIG_HOME: home.join("xdg") });
  const cron = () => ({ LLMCTL_HOME: "", XDG_CONFIG_HOME: home.join("xdg") });
  /** Root has its own folders, so this is another user. */
  const uid = 12345;
  const via = asUser(uid);

  beforeEach(async () => {
    await mkdir(runtime());
    await home.writeFakeProfile("p", {}, quick);
    await cp(home.join("config"), home.join("xdg", "llmctl"), { recursive: true });
    const changing = spawn("chown", ["-R", `${uid}:${uid}`, home.path]);
    await new Promise((resolve) => changing.on("exit", resolve));
  });

  test("cron finds and stops a supervisor that was started in a session", async () => {
    const up = await llmctl(["up", "-d", "p"], { home, env: session(), via });
    expect(up).toMatchObject({ exitCode: 0, stderr: "" });
    expect((await stat(home.join("runtime", "llmctl", "p.sock"))).isSocket()).toBe(true);
    const [pid = 0] = await findServers(home);
    await expectOne(pid, { env: cron(), via });
    expect(await llmctl(["down", "p"], { home, env: cron(), via })).toMatchObject({
      exitCode: 0,
      stdout: 'stopped "p"',
    });
    expect(isAlive(pid)).toBe(false);
  });

  test("a session finds a supervisor that was started by cron", async () => {
    await llmctl(["up", "-d", "p"], { home, env: cron(), via });
    const [pid = 0] = await findServers(home);
    await expectOne(pid, { env: session(), via });
    expect((await llmctl(["down", "p"], { home, env: session(), via })).exitCode).toBe(0);
  });

  test("a supervisor goes on without the session's runtime folder, and another session finds it", async () => {
    await llmctl(["up", "-d", "p"], { home, env: session(), via });
    const [pid = 0] = await findServers(home);
    await rm(runtime(), { recursive: true });
    await writeFile(runtime(), ""); // so that it cannot be created again
    await until("its socket is elsewhere", async () => {
      const { exitCode } = await llmctl(["status", "p"], { home, env: cron(), via });
      return exitCode === 0;
    });
    await expectOne(pid, { env: cron(), via });
    expect((await llmctl(["down", "p"], { home, env: cron(), via })).exitCode).toBe(0);
  });

  test("a runtime folder of another user, as su leaves it, is an error, and nothing is started", async () => {
    await chmod(runtime(), 0o755);
    const changing = spawn("chown", ["nobody", runtime()]);
    await new Promise((resolve) => changing.on("exit", resolve));
    const { exitCode, stderr } = await llmctl(["up", "-d", "p"], { home, env: session(), via });
    expect(stderr).toMatch(
      joinPatterns(
        /the runtime folder \S+ belongs to another user: "nobody" \(uid 65534\)\n {2}at: {2}\S+\n/,
        / {2}fix: XDG_RUNTIME_DIR still names a folder of that user, as after "su"/,
      ),
    );
    expect(exitCode).toBe(77);
    expect(await findServers(home)).toEqual([]);
  });

  test("root's own runtime folder after su is an error, too, but running supervisors are found", async () => {
    await llmctl(["up", "-d", "p"], { home, env: cron(), via });
    const [pid = 0] = await findServers(home);
    const changing = spawn("chown", ["root", runtime()]);
    await new Promise((resolve) => changing.on("exit", resolve));
    await chmod(runtime(), 0o700);
    await expectOne(pid, { env: session(), via });
    expect((await llmctl(["down", "p"], { home, env: session(), via })).exitCode).toBe(0);
    const { exitCode, stderr } = await llmctl(["up", "-d", "p"], { home, env: session(), via });
    expect(stderr).toMatch(/the runtime folder \S+ belongs to another user: "root" \(uid 0\)/);
    expect(exitCode).toBe(77);
  });

  test("a runtime folder that cannot be created is not needed", async () => {
    const env = { ...session(), XDG_RUNTIME_DIR: "/proc/none" };
    expect(await llmctl(["up", "-d", "p"], { home, env, via })).toMatchObject({ exitCode: 0, stderr: "" });
    expect((await llmctl(["down", "p"], { home, env: cron(), via })).exitCode).toBe(0);
  });

  test.each([
    ["HOME", () => ({ ...cron(), HOME: "." }), () => ({ ...cron(), HOME: `${home.path}/` })],
    ["LLMCTL_HOME", () => ({ LLMCTL_HOME: "." }), () => ({ LLMCTL_HOME: home.join("run", "..") })],
  ])("the supervisor resolves a relative %s to the same folder", async (_, relative, absolute) => {
    expect((await llmctl(["up", "-d", "p"], { home, env: relative(), via })).exitCode).toBe(0);
    const [pid = 0] = await findServers(home);
    await expectOne(pid, { env: absolute(), via });
    expect((await llmctl(["down", "p"], { home, env: absolute(), via })).exitCode).toBe(0);
  });

  test("a home below another user's folder, as on a storage server, is used all the same", async () => {
    await chmod(home.path, 0o777);
    await chown(home.path, 4711, 4711);
    expect(await llmctl(["up", "-d", "p"], { home, env: session(), via })).toMatchObject({ exitCode: 0, stderr: "" });
    const [pid = 0] = await findServers(home);
    await expectOne(pid, { env: cron(), via });
    expect((await llmctl(["down", "p"], { home, env: cron(), via })).exitCode).toBe(0);
  });

  test("a user without a home and without a passwd entry works with LLMCTL_HOME", async () => {
    const env = { HOME: "", LLMCTL_HOME: home.path };
    expect(await llmctl(["up", "-d", "p"], { home, env, via })).toMatchObject({ exitCode: 0, stderr: "" });
    expect((await llmctl(["ps"], { home, env, via })).stdout).toMatch(/^p +ready/m);
    expect((await llmctl(["down", "p"], { home, env, via })).exitCode).toBe(0);
    const { exitCode, stderr } = await llmctl(["ps"], { home, env: { HOME: "", LLMCTL_HOME: "" }, via });
    expect(stderr).toMatch(/this user has no home folder[^]*at: {2}uid 12345\n {2}fix: set HOME, or set LLMCTL_HOME/);
    expect(exitCode).toBe(78);
  });
});

describe("a supervisor restores its files after the loss of", () => {
  /** The supervisor may restore the file before the removal ends. */
  const whole = { recursive: true, maxRetries: 10 };

  test.each<[string, () => Promise<void>]>([
    ["the socket", () => rm(socketPath())],
    ["the folder of the socket", () => rm(home.join("run"), whole)],
    ["a file in the place of the socket", () => rm(socketPath()).then(() => writeFile(socketPath(), "x"))],
    ["the lock", () => rm(statePath("p", "lock"))],
    ["an emptied lock", () => writeFile(statePath("p", "lock"), "")],
    ["an emptied state file", () => writeFile(statePath("p", "state.json"), "")],
    ["a removed state file", () => rm(statePath("p", "state.json"))],
    ["the folder of the profile", () => rm(statePath("p"), whole)],
    ["the whole state", () => rm(statePath(), whole)],
    ["everything", () => Promise.all([rm(statePath(), whole), rm(home.join("run"), whole)]).then(() => {})],
  ])("%s", async (_, take) => {
    await home.writeFakeProfile("p", {}, quick);
    const { pid } = await upDetached(home, "p");
    await take();
    await until("all is there again", async () => {
      const files = [socketPath(), statePath("p", "lock"), statePath("p", "server.lock"), statePath("p", "state.json")];
      const sizes = await Promise.all(
        files.map((path) =>
          stat(path).then(
            (info) => (path === socketPath() ? Number(info.isSocket()) : info.size),
            () => 0,
          ),
        ),
      );
      return sizes.every((size) => size > 0);
    });
    await expectOne(pid);
    expect(await llmctl(["down", "p"], { home })).toMatchObject({ exitCode: 0, stdout: 'stopped "p"' });
    expect(await findServers(home)).toEqual([]);
  });
});

describe("until its files are restored", () => {
  const socket = ["run", "p.sock"];

  test("a file that cannot be restored does not keep the others from being restored", async () => {
    await home.writeFakeProfile("p", {}, quick);
    const { pid } = await upDetached(home, "p");
    await rm(statePath("p", "lock"));
    await mkdir(statePath("p", "lock"));
    for (const path of [socketPath(), statePath("p", "server.lock"), statePath("p", "state.json")]) await rm(path);
    await until("all but the lock is there again", () =>
      [socketPath(), statePath("p", "server.lock"), statePath("p", "state.json")].every((path) => existsSync(path)),
    );
    const { warnings } = await readStatus(home, "p");
    expect(warnings).toContainEqual(
      expect.stringMatching(/^cannot restore its lock: .*a folder is in the place of a file/),
    );
    await rm(statePath("p", "lock"), { recursive: true });
    await expectOne(pid);
    expect((await llmctl(["down", "p"], { home })).exitCode).toBe(0);
  });

  test("a command waits for the socket of a supervisor that lost it", async () => {
    await home.writeFakeProfile("p", {}, { health: { interval: "1s" } });
    const { pid } = await upDetached(home, "p");
    await rm(socketPath());
    expect(await llmctl(["down", "p"], { home })).toMatchObject({ exitCode: 0, stdout: 'stopped "p"' });
    expect(isAlive(pid)).toBe(false);
  });

  test.each([
    ["its lock and its socket", [["lock"], socket]],
    ["its lock, its state and its socket", [["lock"], ["state.json"], socket]],
    ["both locks and its socket", [["lock"], ["server.lock"], socket]],
  ])("a supervisor that has lost %s still counts as running, and keeps its server", async (_, lost) => {
    await home.writeFakeProfile("p", {}, { health: { interval: "1h" } });
    const { pid, supervisorPid } = await upDetached(home, "p");
    for (const path of lost) await rm(path === socket ? home.join(...path) : statePath("p", ...path));
    expect((await llmctl(["ps"], { home })).stdout).toMatch(/^p +unresponsive/m);
    expect(await readStatus(home, "p")).toMatchObject({ presence: "unresponsive", supervisorPid });
    const commands = [
      ["up", "-d", "p"],
      ["up", "p"],
      ["down", "p"],
      ["restart", "p"],
    ];
    for (const { exitCode, stderr } of await Promise.all(commands.map((args) => llmctl(args, { home })))) {
      expect(stderr).toContain(
        `the supervisor (pid ${supervisorPid}) runs, but its lock and its control socket were removed`,
      );
      expect(exitCode).toBe(1);
    }
    expect((await llmctl(["forget", "p"], { home })).exitCode).not.toBe(0);
    expect(await findServers(home)).toEqual([pid]);
    process.kill(supervisorPid, "SIGTERM");
    await untilGone(supervisorPid);
    expect(await findServers(home)).toEqual([]);
  });
});

describe("a useless state file hides no process", () => {
  const damages: [string, (path: string) => Promise<void>][] = [
    ["empty", (path) => writeFile(path, "")],
    ["cut", async (path) => writeFile(path, (await readFile(path, "utf8")).slice(0, 40))],
    [
      "a folder",
      (path) =>
        rm(path)
          .then(async () => mkdir(path))
          .then(() => {}),
    ],
    [
      "of another version",
      (path) => writeFile(path, '{"status":{"version":2,"name":"p"},"supervisor":{"pid":1},"server":null}'),
    ],
    [
      "of another profile",
      async (path) => writeFile(path, (await readFile(path, "utf8")).replace('"name": "p"', '"name": "q"')),
    ],
    ["not text", (path) => writeFile(path, Buffer.from([0xff, 0xfe, 0, 1]))],
  ];

  test.each(damages)("%s: a supervisor that cannot be asked is listed by its lock", async (_, damage) => {
    await home.writeFakeProfile("p");
    const { supervisorPid } = await upDetached(home, "p");
    process.kill(supervisorPid, "SIGSTOP");
    await damage(statePath("p", "state.json"));
    expect((await llmctl(["ps"], { home })).stdout).toMatch(/^p +unresponsive/m);
    expect(await readStatus(home, "p")).toMatchObject({ presence: "unresponsive", supervisorPid: expect.any(Number) });
    const { exitCode, stderr } = await llmctl(["up", "-d", "p"], { home });
    expect(stderr).toContain("the supervisor does not answer");
    expect(exitCode).toBe(1);
    process.kill(supervisorPid, "SIGCONT");
    await rm(statePath("p", "state.json"), { recursive: true });
    expect((await llmctl(["down", "p"], { home })).exitCode).toBe(0);
  });

  const keep = { orphan: "keep", ...quick };

  test.each(damages)("%s: an orphaned server is listed, and adopted by the next supervisor", async (_, damage) => {
    await home.writeFakeProfile("p", {}, keep);
    const { pid, supervisorPid, url } = await upDetached(home, "p");
    process.kill(supervisorPid, "SIGKILL");
    await untilGone(supervisorPid);
    await damage(statePath("p", "state.json"));
    expect((await llmctl(["ps"], { home })).stdout).toMatch(new RegExp(`^p +orphaned .*${pid}`, "m"));
    await rm(statePath("p", "state.json"), { recursive: true });
    expect(await upDetached(home, "p")).toMatchObject({ state: "ready", pid, url });
    await llmctl(["down", "p"], { home });
  });

  test.each([
    ["its state is lost", ["state.json"]],
    ["its state and the words of its lock are lost", ["state.json", "server.lock"]],
  ])("%s: an orphaned server is stopped by down", async (_, files) => {
    await home.writeFakeProfile("p", {}, keep);
    const { pid, supervisorPid } = await upDetached(home, "p");
    process.kill(supervisorPid, "SIGKILL");
    await untilGone(supervisorPid);
    for (const file of files) await writeFile(statePath("p", file), "");
    expect((await llmctl(["ps"], { home })).stdout).toMatch(new RegExp(`^p +orphaned .*${pid}`, "m"));
    const { exitCode, stdout } = await llmctl(["down", "p"], { home });
    expect(stdout).toContain(`the server (pid ${pid}) was still there`);
    expect(exitCode).toBe(0);
    expect(isAlive(pid)).toBe(false);
  });
});

test("the lock of an adopted server is restored, and still identifies the server", async () => {
  await home.writeFakeProfile("p", {}, { orphan: "keep", ...quick });
  const { pid, supervisorPid } = await upDetached(home, "p");
  process.kill(supervisorPid, "SIGKILL");
  await untilGone(supervisorPid);
  const next = await upDetached(home, "p");
  expect(next.pid).toBe(pid);
  await rm(statePath("p", "server.lock"));
  await until("its lock is there again", async () =>
    (await readFile(statePath("p", "server.lock"), "utf8").catch(() => "")).includes(`"pid":${pid}`),
  );
  process.kill(next.supervisorPid, "SIGKILL");
  await untilGone(next.supervisorPid);
  await rm(statePath("p", "state.json"));
  expect((await llmctl(["ps"], { home })).stdout).toMatch(new RegExp(`^p +orphaned .*${pid}`, "m"));
  expect(await upDetached(home, "p")).toMatchObject({ pid });
  expect((await llmctl(["down", "p"], { home })).exitCode).toBe(0);
  expect(await findServers(home)).toEqual([]);
});

describe("across pid namespaces", () => {
  test("a supervisor in a container is found and stopped through shared folders; its pid is ignored", async () => {
    await home.writeFakeProfile("p", {}, quick);
    const inside = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    await using up = startLlmctl(["up", "p"], { home, via: inside });
    await up.waitForLine(/ready on /);
    const status = await readStatus(home, "p");
    expect(status).toMatchObject({ presence: "live", state: "ready" });
    expect(status.supervisorPid).toBeLessThan(100); // of its own namespace
    const again = await llmctl(["up", "-d", "p"], { home });
    expect(again.stdout).toContain('"p" is already running');
    expect(await findServers(home)).toHaveLength(1);
    expect((await llmctl(["down", "p"], { home })).exitCode).toBe(0);
    expect((await up.ended).exitCode).toBe(0);
    expect((await llmctl(["ps"], { home })).stdout).toBe("nothing is running");
  });

  test("a supervisor with an unreachable socket is listed by its lock, and a second one is refused", async () => {
    await home.writeFakeProfile("p", {}, { health: { interval: "1h" } });
    await using up = startLlmctl(["up", "p"], {
      home,
      via: ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"],
    });
    await up.waitForLine(/ready on /);
    await rm(socketPath());
    expect((await llmctl(["ps"], { home })).stdout).toMatch(/^p +unresponsive/m);
    for (const command of ["up", "down"]) {
      const { exitCode, stderr } = await llmctl(command === "up" ? ["up", "-d", "p"] : ["down", "p"], { home });
      expect(stderr).toMatch(
        /holds its lock, but its control socket is missing[^]*if it runs in a container, run llmctl there/,
      );
      expect(exitCode).toBe(1);
    }
    expect(await findServers(home)).toHaveLength(1);
    await up.stop("SIGKILL"); // unshare takes no other signal, and takes the supervisor with it
  });
});

describe("a profile whose file is gone", () => {
  test("is stopped by its name, and forgotten", async () => {
    const path = await home.writeFakeProfile("p");
    await upDetached(home, "p");
    await rm(path);
    expect((await llmctl(["ps"], { home })).stdout).toMatch(/^p +ready/m);
    const busy = await llmctl(["forget", "p"], { home });
    expect(busy.stderr).toMatch(/"p" is running[^]*fix: .*llmctl down p/);
    expect(busy.exitCode).toBe(75);
    expect((await llmctl(["down", "p"], { home })).exitCode).toBe(0);
    expect((await llmctl(["ps", "-a"], { home })).stdout).toMatch(/^p +stopped/m);
    expect(await llmctl(["forget", "p"], { home })).toMatchObject({
      exitCode: 0,
      stdout: 'forgot "p": its state and its logs',
    });
    expect((await llmctl(["ps", "-a"], { home })).stdout).toBe("nothing is running");
    await expect(stat(statePath("p"))).rejects.toThrow("ENOENT");
    expect((await llmctl(["forget", "p"], { home })).exitCode).toBe(3);
  });

  test("forget --all keeps running profiles and servers without a supervisor", async () => {
    await home.writeFakeProfile("a");
    await home.writeFakeProfile("b");
    await home.writeFakeProfile("c", {}, { orphan: "keep" });
    await upDetached(home, "a");
    const { pid } = await upDetached(home, "b");
    const kept = await upDetached(home, "c");
    process.kill(kept.supervisorPid, "SIGKILL");
    await untilGone(kept.supervisorPid);
    await llmctl(["down", "a"], { home });
    expect(await llmctl(["forget", "--all"], { home })).toMatchObject({
      exitCode: 0,
      stdout: 'forgot "a": its state and its logs',
    });
    expect(await readStatus(home, "b")).toMatchObject({ presence: "live", pid });
    expect(await readStatus(home, "c")).toMatchObject({ presence: "orphaned", pid: kept.pid });
    expect((await llmctl(["forget", "c"], { home })).exitCode).toBe(75);
    await llmctl(["down", "b", "c"], { home });
  });

  test("a concurrent start comes before or after forget", async () => {
    await home.writeFakeProfile("p");
    await upDetached(home, "p");
    await llmctl(["down", "p"], { home });
    const [forget, up] = await Promise.all([llmctl(["forget", "p"], { home }), llmctl(["up", "-d", "p"], { home })]);
    expect([0, 3, 75]).toContain(forget.exitCode);
    expect(up.exitCode).toBe(0);
    await untilStatus(home, "p", "ready", ({ state }) => state === "ready");
    expect(await findServers(home)).toHaveLength(1);
    await llmctl(["down", "p"], { home });
  });
});

test("a process that only reads a server's lock is not ended in place of the server", async () => {
  await home.writeFakeProfile("p", {}, { orphan: "keep", ...quick });
  await upDetached(home, "p");
  await llmctl(["down", "p"], { home });
  const reader = spawn("tail", ["-f", statePath("p", "server.lock")], { stdio: "ignore" });
  const { pid, supervisorPid } = await upDetached(home, "p");
  process.kill(supervisorPid, "SIGKILL");
  await untilGone(supervisorPid);
  await writeFile(statePath("p", "state.json"), "");
  await writeFile(statePath("p", "server.lock"), "");
  expect((await llmctl(["down", "p"], { home })).stdout).toContain(`the server (pid ${pid}) was still there`);
  expect(isAlive(pid)).toBe(false);
  expect(isAlive(reader.pid ?? 0)).toBe(true);
  reader.kill();
});

describe("one port on several addresses", () => {
  const serve = (name: string, host: string, port: number) =>
    home.writeFakeProfile(name, {}, { server: { host, port } });

  test("may be used by several profiles, but not together with all addresses", async () => {
    await home.writeFakeProfile("a");
    const { url } = await upDetached(home, "a");
    await llmctl(["down", "a"], { home });
    const port = Number(new URL(url ?? "").port);
    await serve("a", "127.0.0.1", port);
    await serve("b", "127.0.0.2", port);
    await serve("c", "0.0.0.0", port);
    await serve("d", "localhost", port);
    await upDetached(home, "a");
    await upDetached(home, "b");
    for (const [name, by] of [
      ["c", /port \d+ is (taken by another profile|in use by)/],
      ["d", /port \d+ is (taken by the profile "a"|in use by)/],
    ] as const) {
      const { exitCode, stderr } = await llmctl(["up", "-d", name], { home });
      expect(stderr).toMatch(by);
      expect(exitCode).toBe(69);
    }
    await llmctl(["down", "a", "b"], { home });
    await upDetached(home, "c");
    expect((await llmctl(["up", "-d", "a"], { home })).stderr).toMatch(/port \d+ is taken by the profile "c"/);
    await llmctl(["down", "c"], { home });
  });

  test("an address with the zone of a missing interface is refused at once", async () => {
    await serve("a", "fe80::1%lo", 8001);
    const { exitCode, stderr } = await llmctl(["up", "-d", "a"], { home });
    expect(stderr).toContain('"fe80::1%lo" is not an address of this machine');
    expect(exitCode).toBe(69);
  });
});
