import { lstatSync, mkdirSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import { thisProcess } from "../../../../src/supervisor/state/lock-record.ts";
import { StateSaver } from "../../../../src/supervisor/state/state-saver.ts";
import { readState } from "../../../../src/supervisor/state/state-file.ts";
import { FakeFiles } from "../../../support/fake-files.ts";
import { parent } from "../../../support/identities.ts";
import { makeStatus } from "../../../support/make-status.ts";

let files: FakeFiles;
let saver: StateSaver;
let socket: string;
let warnings: string[];
let status: ReturnType<typeof makeStatus>;
beforeEach(async () => {
  files = await FakeFiles.create();
  socket = "/run/p.sock";
  warnings = [];
  status = makeStatus();
  saver = new StateSaver({
    stateDir: files.folder,
    supervisor: {
      server: parent,
      stopTimeoutMs: 5,
      status: () => status,
      warn: (text: string) => void warnings.push(text),
    },
    socketPath: () => socket,
    files: files.operations,
  });
});
afterEach(() => files[Symbol.asyncDispose]());

const path = () => files.join("p/state.json");
const read = () => readState(files.folder, "p");
const oneWrite = [
  "open p/state.json.tmp",
  "write p/state.json.tmp",
  "sync p/state.json.tmp",
  "rename p/state.json.tmp p/state.json",
  "sync p",
];
const change = (since: string) => {
  status = makeStatus({ since });
  saver.save();
};
const full = () => {
  files.fault = (operation) => (operation.startsWith("write") ? "ENOSPC" : undefined);
};
const noSpace = () => `cannot write ${path()}: no space left on the disk`;

describe("a state", () => {
  test("has all that a later supervisor needs, and is on the disk before anything is started", async () => {
    await saver.saveFirst();
    expect(await read()).toEqual({ status, supervisor: thisProcess, socket, server: parent, stopTimeoutMs: 5 });
    expect(files.journal).toEqual(oneWrite);
  });

  test("names no socket before there is one", async () => {
    socket = "";
    await saver.saveFirst();
    expect(await read()).toEqual({ status, supervisor: thisProcess, server: parent, stopTimeoutMs: 5 });
  });

  test("that cannot be written at first is an error, and no warning", async () => {
    full();
    await expect(saver.saveFirst()).rejects.toMatchObject({
      code: "state-unwritable",
      exit: "io",
      message: noSpace(),
    });
    expect(warnings).toEqual([]);
  });

  test("first written removes what a killed writer has left", async () => {
    mkdirSync(files.join("p"), { mode: 0o700 });
    writeFileSync(`${path()}.1-00000000.tmp`, "half");
    await saver.saveFirst();
    expect(Object.keys(files.read())).toEqual(["p/state.json"]);
  });
});

describe("changes", () => {
  test("that come while one is written are written once, with the last of them", async () => {
    await saver.saveFirst();
    change("2026-01-01T00:00:01.000Z");
    await Promise.resolve();
    for (const since of ["2026-01-01T00:00:02.000Z", "2026-01-01T00:00:03.000Z"]) change(since);
    await saver.settled();
    expect(files.journal).toEqual([...oneWrite, ...oneWrite, ...oneWrite]);
    expect((await read())?.status.since).toBe("2026-01-01T00:00:03.000Z");
  });

  test("are settled when they are on the disk, and later ones are written again", async () => {
    for (const since of ["2026-01-01T00:00:01.000Z", "2026-01-01T00:00:02.000Z"]) {
      change(since);
      await saver.settled();
      expect((await read())?.status.since).toBe(since);
    }
    expect(files.journal).toEqual([...oneWrite, ...oneWrite]);
    await saver.settled();
  });

  test("of which one cannot be written are a warning, and the last is written all the same", async () => {
    let failures = 0;
    files.fault = (operation) => (operation.startsWith("write") && failures++ === 0 ? "ENOSPC" : undefined);
    change("2026-01-01T00:00:01.000Z");
    await Promise.resolve();
    change("2026-01-01T00:00:02.000Z");
    await saver.settled();
    expect(warnings).toEqual([noSpace()]);
    expect((await read())?.status.since).toBe("2026-01-01T00:00:02.000Z");
  });

  test("leave the old state while the disk is full, and are written at the next check", async () => {
    await saver.saveFirst();
    full();
    change("2026-01-01T00:00:01.000Z");
    await saver.settled();
    await saver.restore();
    expect(warnings).toEqual([noSpace(), noSpace()]);
    expect((await read())?.status.since).toBe("2026-01-01T00:00:00.000Z");
    files.fault = () => undefined;
    await saver.restore();
    expect((await read())?.status.since).toBe("2026-01-01T00:00:01.000Z");
  });

  test("whose status cannot be told are a warning, and do not end the saving", async () => {
    const { operations } = files;
    const odd = new LlmctlError("odd", "odd", { exit: "io" });
    saver = new StateSaver({
      stateDir: files.folder,
      supervisor: { server: null, stopTimeoutMs: 5, status: () => status, warn: (text) => void warnings.push(text) },
      socketPath: () => {
        if (socket === "") throw odd;
        return socket;
      },
      files: operations,
    });
    socket = "";
    saver.save();
    await saver.settled();
    socket = "/run/p.sock";
    saver.save();
    await saver.settled();
    expect([warnings, (await read())?.socket]).toEqual([["odd"], "/run/p.sock"]);
  });
});

describe("a check", () => {
  beforeEach(async () => {
    await saver.saveFirst();
    files.steps.length = 0;
  });

  test("writes nothing while the file is as it was written", async () => {
    await saver.restore();
    change("2026-01-01T00:00:01.000Z");
    await saver.settled();
    files.steps.length = 0;
    await saver.restore();
    expect(files.journal).toEqual([]);
  });

  test.each<[string, () => void]>([
    ["was removed", () => rmSync(path())],
    ["was removed with its folder", () => rmSync(files.join("p"), { recursive: true })],
    ["has another size", () => writeFileSync(path(), "")],
    ["was touched", () => utimesSync(path(), 1, 1)],
    [
      "is another one of the same size and time",
      () => {
        const { size, mtimeMs } = lstatSync(path());
        writeFileSync(files.join("other"), "x".repeat(size));
        utimesSync(files.join("other"), mtimeMs / 1000, mtimeMs / 1000);
        renameSync(files.join("other"), path());
      },
    ],
  ])("writes a file again that %s", async (_, make) => {
    make();
    await saver.restore();
    expect(files.journal).toEqual(oneWrite);
    expect((await read())?.status).toEqual(status);
  });

  test("during a write waits for it, and writes nothing more", async () => {
    rmSync(path());
    change("2026-01-01T00:00:01.000Z");
    await saver.restore();
    expect(files.journal).toEqual(oneWrite);
    expect((await read())?.status.since).toBe("2026-01-01T00:00:01.000Z");
  });

  test("that meets a write which began meanwhile leaves it alone", async () => {
    rmSync(path());
    const restored = saver.restore();
    change("2026-01-01T00:00:01.000Z");
    await restored;
    await saver.settled();
    expect(files.journal).toEqual(oneWrite);
  });
});
