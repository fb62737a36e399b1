import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, test, vi } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import { findTool } from "../../../../src/base/files/find-tool.ts";
import {
  adoptServer,
  explainSpawnFailure,
  kill,
  killGroup,
  spawnServer,
  terminate,
  wake,
} from "../../../../src/supervisor/child/server-process.ts";
import type { Launch } from "../../../../src/supervisor/launch.ts";
import { findDescendants } from "../../../../src/supervisor/state/process-identity.ts";
import { FakeClock } from "../../../support/fake-clock.ts";
import { type Behaviour, FakeProcesses, systemError } from "../../../support/fake-processes.ts";
import { makeLaunch } from "../../../support/make-launch.ts";

describe("signals", () => {
  /** A table in which 101 has a child in its group, one in a session of its own, and that one a child. */
  function start() {
    const told: string[] = [];
    const clock = new FakeClock();
    const processes = new FakeProcesses(clock, (text) => told.push(text));
    processes.start({ children: ["group", "session"] });
    return { told, processes };
  }

  test("SIGTERM goes to the server alone, with SIGCONT behind it", () => {
    const { told, processes } = start();
    terminate(101, processes);
    expect(told).toEqual(["SIGTERM 101", "SIGCONT 101"]);
  });

  test("SIGKILL goes to all descendants and the group, also when one of them may not be signalled", () => {
    const { told, processes } = start();
    const { signal } = processes;
    vi.spyOn(processes, "signal").mockImplementation((pid, name) => {
      signal(pid, name);
      if (pid === 102) throw systemError("EPERM", "kill");
    });
    expect(() => kill(101, processes)).toThrow("cannot send SIGKILL to process 102: kill EPERM");
    expect(told).toEqual(["SIGKILL 102", "SIGKILL 103", "SIGKILL -101"]);
  });

  test("SIGKILL for what a server has left behind goes to its group alone", () => {
    const { told, processes } = start();
    killGroup(101, processes);
    expect(told).toEqual(["SIGKILL -101"]);
  });

  test("a process that may not be signalled is a known error with a fix, and SIGCONT is not sent", () => {
    const { told, processes } = start();
    vi.spyOn(processes, "signal").mockImplementation((pid, name) => {
      told.push(`${name} ${pid} refused`);
      throw systemError("EPERM", "kill");
    });
    expect(() => terminate(101, processes)).toThrow(
      expect.objectContaining({
        code: "not-permitted",
        message: "cannot send SIGTERM to process 101: kill EPERM",
        exit: "permission",
        fix: "stop it as the user that owns it, or as root",
      }),
    );
    expect(() => killGroup(101, processes)).toThrow("cannot send SIGKILL to process 101: kill EPERM");
    expect(told).toEqual(["SIGTERM 101 refused", "SIGKILL -101 refused"]);
  });

  test("a process that is gone is no error, a bug is", () => {
    const { processes } = start();
    terminate(4711, processes);
    wake(4711, processes);
    kill(4711, processes);
    killGroup(4711, processes);
    vi.spyOn(processes, "signal").mockImplementation(() => {
      throw new TypeError("unknown signal");
    });
    expect(() => terminate(101, processes)).toThrow(TypeError);
  });
});

describe("a server that was started by another supervisor", () => {
  const identity = { pid: 101, startTime: "101", bootId: "boot" };

  test("has ended when it is no longer there, and nobody knows how", async () => {
    const clock = new FakeClock();
    const processes = new FakeProcesses(clock);
    processes.start({ ends: { afterMs: 120, code: 3, signal: null } });
    const server = adoptServer(identity, { clock, processes });
    expect(server).toMatchObject({ pid: 101, identity });
    const startMs = clock.nowMs();
    expect(await clock.until(server.exited)).toEqual({ code: null, signal: null });
    expect(clock.nowMs() - startMs).toBe(150);
    expect(clock.pending).toBe(0);
  });

  test("has not ended while the system cannot tell, and a bug ends the watch", async () => {
    const clock = new FakeClock();
    const processes = new FakeProcesses(clock);
    processes.start();
    processes.unknowable = "EMFILE";
    let hasEnded = false;
    const { exited } = adoptServer(identity, { clock, processes });
    exited.then(
      () => (hasEnded = true),
      () => undefined,
    );
    await clock.advance(60_000);
    expect(hasEnded).toBe(false);
    vi.spyOn(processes, "isRunning").mockImplementation(() => JSON.parse("{") as boolean);
    await expect(clock.until(exited)).rejects.toThrow(SyntaxError);
  });
});

describe("a spawn", () => {
  const fds = { log: 5, lock: 7 };
  const launch = makeLaunch({ file: "/bin/server", args: ["-c", "0"], env: { A: "b" }, cwd: "/tmp" });

  async function spawnWith(more: Partial<Launch>, behaviour: Behaviour = {}) {
    const clock = new FakeClock();
    const processes = new FakeProcesses(clock);
    processes.behaviours = [behaviour];
    const server = await clock.until(spawnServer({ ...launch, ...more }, fds, processes));
    return { clock, processes, server, spawned: processes.spawned[0] };
  }

  test("of a server that is kept runs it as it is", async () => {
    const { spawned, server } = await spawnWith({ orphan: "keep" });
    expect(spawned).toEqual({
      command: ["/bin/server", "-c", "0"],
      options: { cwd: "/tmp", env: { A: "b" }, detached: true, stdio: ["ignore", 5, 5, 7] },
    });
    expect(server).toMatchObject({ pid: 101, identity: { pid: 101, startTime: "101", bootId: "boot" } });
  });

  test("tells how the server ended", async () => {
    const { clock, server } = await spawnWith({}, { ends: { afterMs: 100, code: 3, signal: null } });
    expect(await clock.until(server.exited)).toEqual({ code: 3, signal: null });
  });

  test("ties the server to this process where the system can", async () => {
    const { spawned } = await spawnWith({ orphan: "kill" });
    const setpriv = findTool("setpriv");
    if (setpriv === undefined) throw new Error("this test needs setpriv of util-linux");
    expect(spawned?.command.slice(0, 6)).toEqual([setpriv, "--pdeathsig", "KILL", "--", "/bin/sh", "-c"]);
    expect(spawned?.command.slice(7)).toEqual([String(process.pid), "/bin/server", "-c", "0"]);
    expect(spawned?.options.stdio).toEqual(["ignore", 5, 5, 7]);
  });

  test("where there is no setpriv ties it by a pipe that ends with this process", async () => {
    vi.stubEnv("PATH", "/nowhere");
    const { spawned } = await spawnWith({ orphan: "kill" });
    vi.unstubAllEnvs();
    expect(spawned?.command.slice(0, 2)).toEqual(["/bin/sh", "-c"]);
    expect(spawned?.command.slice(3)).toEqual(["sh", "/bin/server", "-c", "0"]);
    expect(spawned?.options.stdio).toEqual(["ignore", 5, 5, 7, "pipe"]);
  });

  test.each([
    ["no core file", undefined, true],
    ["a core file where somebody wants one", "1", false],
  ])("allows %s", async (_, wanted, isForbidden) => {
    vi.stubEnv("LLMCTL_CORE_DUMPS", wanted);
    const { spawned } = await spawnWith({ orphan: "kill" });
    vi.unstubAllEnvs();
    expect(spawned?.command[6]?.startsWith("ulimit -S -c 0; ")).toBe(isForbidden);
  });

  test("that the system refuses fails with its error", async () => {
    await expect(spawnWith({}, { refused: "EAGAIN" })).rejects.toMatchObject({ code: "EAGAIN" });
  });

  test("of a server that nobody can identify succeeds all the same, and a bug does not", async () => {
    const clock = new FakeClock();
    const table = new FakeProcesses(clock);
    table.unknowable = "EMFILE";
    const server = await clock.until(spawnServer(launch, fds, table));
    expect(server).toMatchObject({ pid: 101, identity: undefined });
    vi.spyOn(table, "identify").mockImplementation(() => JSON.parse("{") as undefined);
    await expect(clock.until(spawnServer(launch, fds, table))).rejects.toThrow(SyntaxError);
  });
});

describe("a failed spawn", () => {
  test.each(["EAGAIN", "EMFILE", "ENFILE", "ENOMEM"])(
    "for lack of system resources (%s) is retried, and waited for",
    (code) => {
      expect(explainSpawnFailure("/x", systemError(code, "spawn"))).toEqual({
        kind: "not-started",
        message: `cannot start /x: spawn ${code}`,
        permanent: false,
        mayCome: true,
        exit: "missingFile",
      });
    },
  );

  test.each([
    ["ENOENT", { permanent: true, mayCome: true, exit: "missingFile" }],
    ["EACCES", { permanent: true, exit: "permission" }],
    ["ENOEXEC", { permanent: true, exit: "missingFile" }],
  ])("for good (%s)", (code, more) => {
    const message = `cannot start /x: spawn ${code}`;
    expect(explainSpawnFailure("/x", systemError(code, "spawn"))).toEqual({ kind: "not-started", message, ...more });
  });

  test("by a known error has its message", () => {
    const error = new LlmctlError("lock-held", "another server holds the lock", { exit: "busy" });
    expect(explainSpawnFailure("/x", error).message).toBe("cannot start /x: another server holds the lock");
  });

  test("for another reason says that Node does not tell", () => {
    expect(explainSpawnFailure("/x", new Error("s3cret")).message).toBe(
      "cannot start /x: for a reason that Node does not tell",
    );
  });

  test("does not quote the arguments of the spawn", async () => {
    const call = () => spawn("/bin/true", { env: { A: "s3cret\0" } });
    expect(call).toThrow("s3cret");
    const error = await Promise.resolve()
      .then(call)
      .catch((thrown: unknown) => thrown);
    expect(explainSpawnFailure("/x", error)).toMatchObject({
      message: "cannot start /x: ERR_INVALID_ARG_VALUE",
      permanent: true,
    });
  });
});

test("descendants of a server are killed with it, even in another session", async () => {
  const server = spawn("sh", ["-c", "setsid sh -c 'echo $$; exec sleep 1000' & exec sleep 1000"], {
    detached: true,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const pid = server.pid ?? 0;
  const grandchild = Number(String((await once(server.stdout, "data"))[0]));
  expect(findDescendants(pid)).toContain(grandchild);
  expect(findDescendants(grandchild)).toEqual([]);
  const ended = once(server, "exit");
  const closed = once(server.stdout, "close"); // held open by both
  kill(pid);
  expect(await ended).toEqual([null, "SIGKILL"]);
  await closed;
});
