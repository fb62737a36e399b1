import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Status } from "../../../../src/control/messages.ts";
import {
  readState,
  stateFilePath,
  writeFirstState,
  writeState,
  type StateRecord,
} from "../../../../src/supervisor/state/state-file.ts";
import { makeStatus } from "../../../support/make-status.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-state-"));
});
afterEach(() => rm(folder, { recursive: true }));

const record: StateRecord = {
  status: makeStatus(),
  supervisor: { pid: 1, startTime: "2", bootId: "3" },
  server: null,
};

test("a written state is read again, and only its user may read it", async () => {
  await writeState(folder, record);
  expect(await readState(folder, "p")).toEqual(record);
  expect((await stat(stateFilePath(folder, "p"))).mode & 0o777).toBe(0o600);
});

test("a state that lacks newer keys is read", async () => {
  const { llmctl: _, launchVersion: _v, waitingFor: _w, command: _c, dependsOn: _d, ...older } = record.status;
  await writeState(folder, { ...record, status: older as Status });
  expect((await readState(folder, "p"))?.status).toEqual({ ...older, dependsOn: [] });
});

test("a supervisor's first state removes the unfinished file of a killed writer, and nothing else", async () => {
  await writeState(folder, record);
  const path = stateFilePath(folder, "p");
  const others = [join(dirname(path), "server.log"), `${path}.bak`, join(dirname(path), "other.json.1-2.tmp")];
  for (const file of [...others, `${path}.123-0badcafe.tmp`]) await writeFile(file, "");
  await writeFirstState(folder, record);
  expect((await readdir(dirname(path))).toSorted()).toEqual([path, ...others].map((file) => basename(file)).toSorted());
});

test("a state that was never written is missing", async () => {
  expect(await readState(folder, "p")).toBeUndefined();
  await writeFile(join(folder, "q"), "a file");
  expect(await readState(folder, "q")).toBeUndefined();
});

test("a pipe in its place does not block", async () => {
  await mkdir(join(folder, "p"));
  execFileSync("mkfifo", [stateFilePath(folder, "p")]);
  expect(await readState(folder, "p")).toBeUndefined();
});

test("half a file, one of another profile or version, or a foreign one counts as missing", async () => {
  await writeState(folder, record);
  const text = await readFile(stateFilePath(folder, "p"), "utf8");
  const halves = Array.from({ length: Math.floor((text.length - 2) / 7) }, (_, i) => text.slice(0, 7 * i));
  const others = ["null", "[]", "{}", '"x"', "7", JSON.stringify({ ...record, status: { version: 2, name: "p" } })];
  for (const content of [...halves, ...others, "\0".repeat(100)]) {
    await writeFile(stateFilePath(folder, "p"), content);
    expect(await readState(folder, "p")).toBeUndefined();
  }
  await mkdir(dirname(stateFilePath(folder, "q")));
  await writeFile(stateFilePath(folder, "q"), text);
  expect(await readState(folder, "q")).toBeUndefined();
});
