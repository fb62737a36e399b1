import { execFileSync } from "node:child_process";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { collectBounded, readBounded } from "../../../../src/base/files/read-bounded.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-bounded-"));
});
afterEach(() => rm(folder, { recursive: true }));

describe("a file of another user", () => {
  test("is read up to the limit, also through a link", async () => {
    await writeFile(join(folder, "a"), "12345");
    await symlink("a", join(folder, "link"));
    expect(await readBounded(join(folder, "a"), 5)).toBe("12345");
    expect(await readBounded(join(folder, "link"), 5)).toBe("12345");
    expect(await readBounded(join(folder, "a"), 4)).toBeUndefined();
  });

  test("that is a pipe, a device or a folder is not read", async () => {
    execFileSync("mkfifo", [join(folder, "pipe")]);
    expect(await readBounded(join(folder, "pipe"), 100)).toBeUndefined();
    expect(await readBounded("/dev/zero", 100)).toBeUndefined();
    expect(await readBounded(folder, 100)).toBeUndefined();
  });

  test.runIf(process.platform === "linux")("that claims to be empty, as files of /proc do, is read", async () => {
    expect(await readBounded("/proc/self/status", 1 << 20)).toContain("Pid:");
    expect(await readBounded("/proc/self/status", 10)).toBeUndefined();
    // Longer than the result of one read.
    const maps = await readBounded("/proc/self/maps", 16 << 20);
    expect(maps?.length).toBeGreaterThan(8192);
    expect(maps?.trimEnd().split("\n").at(-1)).toContain("[");
    expect(await readBounded("/proc/self/maps", 8000)).toBeUndefined();
  });

  test("that is missing is the system's error", async () => {
    await expect(readBounded(join(folder, "none"), 1)).rejects.toMatchObject({ code: "ENOENT" });
  });
});

test("an endless body is read up to the limit, and its source is closed", async () => {
  let sent = 0;
  let isLetGo = false;
  async function* endless() {
    try {
      for (;;) {
        sent += 10;
        yield new Uint8Array(10);
      }
    } finally {
      isLetGo = true;
    }
  }
  expect(await collectBounded(endless(), 100)).toBeUndefined();
  expect({ sent, isLetGo }).toEqual({ sent: 110, isLetGo: true });
});
