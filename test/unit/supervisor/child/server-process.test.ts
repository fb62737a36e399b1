import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterEach, expect, test, vi } from "vitest";
import { findDescendants } from "../../../../src/supervisor/state/process-identity.ts";
import { explainSpawnFailure, kill, killGroup, terminate } from "../../../../src/supervisor/child/server-process.ts";

afterEach(() => vi.restoreAllMocks());

test("a process that may not be signalled is a known error, a process that is gone is no error", () => {
  const system = vi.spyOn(process, "kill").mockImplementation(() => {
    throw Object.assign(new Error("kill EPERM"), { code: "EPERM", syscall: "kill" });
  });
  expect(() => terminate(4711)).toThrow("cannot send SIGTERM to process 4711: kill EPERM");
  expect(() => killGroup(4711)).toThrow("cannot send SIGKILL to process 4711: kill EPERM");
  system.mockImplementation(() => {
    throw Object.assign(new Error("kill ESRCH"), { code: "ESRCH", syscall: "kill" });
  });
  terminate(4711);
  killGroup(4711);
});

test.each(["EAGAIN", "EMFILE", "ENFILE", "ENOMEM"])(
  "a start that fails for lack of system resources (%s) is retried",
  (code) => {
    const cause = explainSpawnFailure("/x", Object.assign(new Error(`spawn ${code}`), { code, syscall: "spawn" }));
    expect(cause).toMatchObject({ kind: "not-started", permanent: false, mayCome: true });
  },
);

test("a failed start does not quote the arguments of the spawn", async () => {
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
