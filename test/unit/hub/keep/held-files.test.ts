import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { findHeldFiles } from "../../../../src/hub/keep/held-files.ts";

test.runIf(process.platform === "linux")("a file that a process has only mapped is in use", async () => {
  const [, library = ""] = /(\/\S+\.so[.\d]*)$/m.exec(await readFile("/proc/self/maps", "utf8")) ?? [];
  const folder = await mkdtemp(join(tmpdir(), "llmctl-held-"));
  const mapped = join(folder, "mapped.so");
  await copyFile(library, mapped);
  const waiting = spawn(process.execPath, ["-e", "process.stdin.resume(); console.log(1)"], {
    env: { ...process.env, LD_PRELOAD: mapped },
    stdio: ["pipe", "pipe", "inherit"],
  });
  try {
    await once(waiting.stdout, "data");
    expect(await findHeldFiles([mapped, join(folder, "other.so")])).toEqual(new Set([mapped]));
  } finally {
    waiting.kill();
    await rm(folder, { recursive: true });
  }
});
