import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { checkPort } from "../../../../src/supervisor/port/port-check.ts";
import { removeStaleSocket } from "../../../../src/supervisor/port/socket-check.ts";

let folder: string;
let socketPath: string;
let holder: Server | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "llmctl-socket-"));
  socketPath = join(folder, "a b.sock");
});
afterEach(async () => {
  await close();
  rmSync(folder, { recursive: true });
});

const check = () => checkPort({ host: "127.0.0.1", port: 0, socketPath });

async function listen(path: string): Promise<void> {
  holder = createServer();
  await once(holder.listen(path), "listening");
}

async function close(): Promise<void> {
  const open = holder;
  holder = undefined;
  if (open !== undefined) await once(open.close(), "close");
}

/** A stale socket as a server leaves it; Node itself removes the path that it has bound. */
async function leaveStale(): Promise<void> {
  await listen(`${socketPath}~`);
  renameSync(`${socketPath}~`, socketPath);
  await close();
}

describe("the path of a socket", () => {
  test("that does not exist is free", async () => {
    expect(await check()).toBeUndefined();
    await removeStaleSocket(socketPath);
  });

  test("with a listener is in use, and the error names its owner", async () => {
    await listen(socketPath);
    expect(await check()).toMatchObject({
      kind: "port-in-use",
      permanent: true,
      mayCome: true,
      exit: "unavailable",
      message: expect.stringMatching(
        new RegExp(`^the socket "${socketPath}" is in use by .+ \\(pid ${process.pid}\\)$`),
      ),
    });
    await removeStaleSocket(socketPath);
    expect(existsSync(socketPath)).toBe(true);
  });

  test("with one's own stale socket is free, and only a start removes it", async () => {
    await leaveStale();
    expect(await check()).toBeUndefined();
    expect(existsSync(socketPath)).toBe(true);
    await removeStaleSocket(socketPath);
    expect(existsSync(socketPath)).toBe(false);
  });

  test.each<[string, () => unknown]>([
    ["a file", () => writeFileSync(socketPath, "mine")],
    ["a folder", () => mkdirSync(socketPath)],
    [
      "a link to a socket",
      async () => (await listen(join(folder, "other")), symlinkSync(join(folder, "other"), socketPath)),
    ],
  ])("with %s is refused, and left alone", async (_what, make) => {
    await make();
    expect(await check()).toMatchObject({
      kind: "not-a-socket",
      exit: "config",
      message: `"${socketPath}" exists and is not a socket`,
    });
    await removeStaleSocket(socketPath);
    expect(existsSync(socketPath)).toBe(true);
  });

  test("in a missing folder says how to create it", async () => {
    socketPath = join(folder, "run/x.sock");
    expect(await check()).toMatchObject({
      exit: "missingFile",
      mayCome: true,
      fix: `create it: mkdir -p ${join(folder, "run")}`,
    });
    writeFileSync(join(folder, "file"), "");
    socketPath = join(folder, "file/x.sock");
    expect(await check()).toMatchObject({ exit: "missingFile" });
  });
});
