import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { explainFailedRun } from "../../../../src/llama/ask/failed-run.ts";
import { runBriefly } from "../../../../src/llama/ask/run-briefly.ts";
import { FakeBuild } from "../../../support/fake-build.ts";

let build: FakeBuild;
beforeEach(() => {
  build = new FakeBuild();
});
afterEach(() => build[Symbol.dispose]());

const ended = { timedOut: false, stderr: "" };
const get = { run: ["build"], or: "name another file in llama.binary" };
const portable = { before: "if it was built for another CPU, run", run: ["build", "--portable"] };

describe("a program that fails", () => {
  test.each([
    [{ timedOut: true, exitCode: 1, signal: "SIGKILL" }, "did not answer in time", get],
    [{ isMaxBuffer: true, signal: "SIGTERM" }, "printed too much when asked to answer", get],
    [{ code: "ENOENT" }, "cannot be started: the interpreter or loader that it names is missing", get],
    [{ signal: "SIGILL" }, "died of SIGILL when asked to answer", portable],
    [{ code: "E2BIG" }, "cannot be started: E2BIG", get],
    [{}, "cannot be started: unknown reason", get],
    [{ exitCode: 1 }, "failed to answer", get],
    [{ exitCode: 127 }, "failed to answer", get],
    [{ exitCode: 1, stderr: "a\nlast words\n" }, "failed to answer: last words", get],
    [
      { exitCode: 1, stderr: "using config file: /etc/c.ini\nstoi\n" },
      "failed to answer: not a number, or out of range (stoi)",
      'look at "/etc/c.ini", which llama.cpp reads before its command line',
    ],
  ])("%j is told as: %s", async (how, words, fix) => {
    const error = await explainFailedRun(build.server, "answer", { PATH: "/nowhere" }, { ...ended, ...how });
    expect(error).toMatchObject({
      code: "binary-failed",
      exit: "missingFile",
      message: `"${build.server}" ${words}`,
      at: build.server,
      fix,
    });
  });
});

describe("a program that lacks libraries", () => {
  const stderr = `${"/x: error while loading shared libraries: libfirst.so.1: cannot open"}\n`;
  const fail = (run: object = {}) =>
    explainFailedRun(build.server, "answer", { PATH: build.folder }, { ...ended, exitCode: 127, stderr, ...run });
  const install = {
    before: "install the library, or set LD_LIBRARY_PATH in the profile's env, or rebuild with",
    run: ["build"],
  };

  test("is told with all of them, each once, as ldd lists them", async () => {
    const missing = ["libfirst.so.1", "libb.so", "libb.so"].map((name) => `\t${name} => not found\n`);
    const list = `\tlibc.so.6 => /lib/libc.so.6 (0x1)\n${missing.join("")}`;
    build.put("ldd", [{ when: build.server, stdout: list }]);
    expect(await fail()).toMatchObject({
      code: "binary-library-missing",
      exit: "missingFile",
      message: `"${build.server}" needs libfirst.so.1, libb.so, which this machine does not have`,
      at: build.server,
      fix: install,
    });
  });

  test("is told with the one that the loader names, where ldd does not say", async () => {
    expect((await fail()).message).toContain("needs libfirst.so.1, which");
    build.put("ldd", [{ when: build.server, stdout: "\tliba.so => not found\n", exitCode: 1 }]);
    expect((await fail()).message).toContain("needs libfirst.so.1, which");
  });

  test.each(["libcuda.so.1", "libcudart.so.12", "libcublas.so.12", "libcublasLt.so.12", "libnccl.so.2"])(
    "%s comes with the driver or its toolkit",
    async (name) => {
      build.put("ldd", [{ when: build.server, stdout: `\tliba.so => not found\n\t${name} => not found\n` }]);
      expect((await fail()).fix).toBe(
        "install the CUDA libraries (and the driver), or set LD_LIBRARY_PATH in the profile's env",
      );
    },
  );

  test("is not looked for after another exit code", async () => {
    build.put("ldd", [{ when: build.server, stdout: "\tliba.so => not found\n" }]);
    expect(await fail({ exitCode: 1 })).toMatchObject({ code: "binary-failed" });
    expect(build.asked("ldd")).toEqual([]);
  });
});

describe("a short run", () => {
  const env = { PATH: process.env["PATH"] ?? "", ANSWER: "42" };
  const sh = (script: string, more: { maxBytes?: number } = {}) =>
    runBriefly("/bin/sh", ["-c", script], { env, timeoutMs: 60_000, ...more });

  test("has its output without the last line end, its exit code, and its own environment", async () => {
    expect(await sh('echo "$ANSWER"; printf "a\\r\\nb\\r\\n" >&2; env | wc -l >&2')).toMatchObject({
      failed: false,
      timedOut: false,
      exitCode: 0,
      stdout: "42",
      stderr: expect.stringMatching(/^a\r\nb\r\n\s*[2-5]$/) as string,
    });
    expect(await sh("exit 7")).toEqual({
      failed: true,
      timedOut: false,
      exitCode: 7,
      signal: undefined,
      isMaxBuffer: false,
      code: undefined,
      stdout: "",
      stderr: "",
    });
  });

  test("reads nothing: a program that waits for input ends at once", async () => {
    expect((await sh("cat; echo end")).stdout).toBe("end");
  });

  test("that dies of a signal says which", async () => {
    expect(await sh("kill -ILL $$")).toMatchObject({ failed: true, signal: "SIGILL", exitCode: undefined });
  });

  test("may print up to its limit on each stream", async () => {
    expect(await sh("printf 12345; printf 12345 >&2", { maxBytes: 5 })).toMatchObject({
      failed: false,
      stdout: "12345",
    });
    expect(await sh("printf 123456 >&2", { maxBytes: 5 })).toMatchObject({ failed: true, isMaxBuffer: true });
  });

  test("of a file that cannot be started says why", async () => {
    expect(await runBriefly("/nowhere/x", [], { env, timeoutMs: 60_000 })).toMatchObject({
      failed: true,
      code: "ENOENT",
    });
    const long = "x".repeat(3 << 20);
    expect(await runBriefly("/bin/sh", ["-c", "true", long], { env, timeoutMs: 60_000 })).toMatchObject({
      failed: true,
      timedOut: false,
      code: "E2BIG",
      stdout: "",
      stderr: "",
    });
  });
});
