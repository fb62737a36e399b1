import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findPaths } from "../../../../src/base/files/paths.ts";
import { listDevices } from "../../../../src/llama/ask/devices.ts";
import { askWorkers, checkWorkers } from "../../../../src/llama/ask/rpc-workers.ts";
import { askWorkerProgram } from "../../../../src/llama/ask/worker-program.ts";
import { FakeBuild } from "../../../support/fake-build.ts";
import { makeLaunch } from "../../../support/make-launch.ts";

let build: FakeBuild;
beforeEach(() => {
  build = new FakeBuild();
});
afterEach(() => build[Symbol.dispose]());

const env = {};
const list = (...names: readonly string[]) =>
  `Available devices:\n${names.map((name) => `  ${name}: there (9 MiB, 8 MiB free)\n`).join("")}`;
const device = (name: string) => ({ name, description: "there", totalMib: 9, freeMib: 8 });
const workers = ["a:1", "b:2"];
const ask = () => askWorkers(build.server, env, workers);

describe("workers that are asked", () => {
  test("have their devices numbered through, as the server will see them", async () => {
    build.put("llama-server", [
      { when: "--rpc a:1 --list-devices", stdout: list("RPC0", "RPC1", "CUDA0") },
      { when: "--rpc b:2 --list-devices", stdout: list("RPC0", "CPU") },
    ]);
    expect(await ask()).toEqual([device("RPC0"), device("RPC1"), device("RPC2")]);
    expect(build.asked().toSorted()).toEqual(["--rpc a:1 --list-devices", "--rpc b:2 --list-devices"]);
  });

  test("of builds that name them by address keep that name", async () => {
    build.put("llama-server", [
      { when: "--rpc a:1", stdout: list("RPC[a:1]") },
      { when: "--rpc b:2", stdout: list("RPC[b:2]") },
    ]);
    expect(await ask()).toEqual([device("RPC[a:1]"), device("RPC[b:2]")]);
  });

  const start = 'start it on its machine: "llmctl up" with a profile of "kind: rpc-worker"';
  const release = "run the same release of llama.cpp on both machines";
  const other = "speaks another version of the protocol than this build";
  test.each([
    [{ stderr: "Failed to connect to b:2", exitCode: 134 }, "no worker listens on b:2", start],
    [{ stdout: list("CUDA0") }, "no worker listens on b:2", start],
    [{ stdout: list("RPC0"), exitCode: 1 }, "no worker listens on b:2", start],
    [{ stderr: "RPC server version mismatch", exitCode: 1 }, `worker b:2 ${other}`, release],
    [{ stderr: "crashed or returned malformed response", exitCode: 1 }, `worker b:2 ${other}`, release],
  ])("that answer %j cannot be used", async (reply, message, fix) => {
    build.put("llama-server", [
      { when: "--rpc a:1", stdout: list("RPC0") },
      { when: "--rpc b:2", ...reply },
    ]);
    expect(await ask()).toEqual({ worker: "b:2", message, fix });
    expect(await checkWorkers(makeLaunch({ file: build.server, rpcWorkers: workers }))).toEqual({
      kind: "rpc-worker-unusable",
      message,
      fix,
      permanent: false,
      exit: "unavailable",
    });
  });

  test("are told by the first that cannot be used", async () => {
    expect(await ask()).toMatchObject({ worker: "a:1" });
  });

  test("of a launch may be fine, or none", async () => {
    build.put("llama-server", [{ when: "--rpc", stdout: list("RPC0") }]);
    expect(await checkWorkers(makeLaunch({ file: build.server, rpcWorkers: workers }))).toBeUndefined();
    expect(await checkWorkers(makeLaunch({ file: "/nowhere" }))).toBeUndefined();
    expect(build.asked()).toHaveLength(2);
  });
});

test("a build that cannot list its devices is named with its reason", async () => {
  build.put("llama-server", [{ when: "--list-devices", stderr: "no driver\n", exitCode: 1 }]);
  await expect(listDevices(build.server, env)).rejects.toMatchObject({
    code: "binary-failed",
    message: `"${build.server}" failed to list its devices: no driver`,
  });
  build.put("llama-server", [{ when: "--list-devices", stdout: list("CUDA0") }]);
  expect(await listDevices(build.server, env)).toEqual([device("CUDA0")]);
});

describe("the RPC server of a build", () => {
  const find = () => {
    const paths = findPaths({ LLMCTL_HOME: build.folder }, 1000);
    return askWorkerProgram({ llama: { binary: build.server }, at: "p.yaml:llama", paths, env });
  };

  test("is the newest name, with the flags of its help, on whichever stream", async () => {
    const old = build.put("rpc-server", [{ when: "--help", stdout: "  --host HOST (default)\n  -c, --cache" }]);
    expect(await find()).toEqual({
      file: old,
      server: build.server,
      label: build.server,
      flags: new Set(["--host", "--cache"]),
    });
    const file = build.put("ggml-rpc-server", [{ when: "--help", stdout: "--port", stderr: "--mem" }]);
    expect(await find()).toMatchObject({ file, flags: new Set(["--port", "--mem"]) });
  });

  test("without a flag in its help has none", async () => {
    build.put("rpc-server");
    expect((await find()).flags).toEqual(new Set());
  });

  test("that is missing is told with both ways to get one", async () => {
    await expect(find()).rejects.toMatchObject({
      code: "worker-missing",
      exit: "missingFile",
      message: `there is no RPC server beside "${build.server}"`,
      at: "p.yaml:llama",
      fix: { run: ["build", "--rpc"], or: "name a build that has one in llama.build" },
    });
  });

  test("that fails, or that nobody may run, is told as it is", async () => {
    const file = build.put("ggml-rpc-server", [{ when: "--help", exitCode: 3 }]);
    build.put("rpc-server");
    await expect(find()).rejects.toMatchObject({ message: `"${file}" failed to answer --help` });
  });
});
