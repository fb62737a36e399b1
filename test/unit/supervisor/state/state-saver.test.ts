import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readState } from "../../../../src/supervisor/state/state-file.ts";
import { StateSaver } from "../../../../src/supervisor/state/state-saver.ts";
import type { Supervisor } from "../../../../src/supervisor/supervisor.ts";
import { makeStatus } from "../../../support/make-status.ts";

test("a state that failed on a full disk is written at the next check", async () => {
  const folder = await mkdtemp(join(tmpdir(), "llmctl-saver-"));
  const warnings: string[] = [];
  const supervisor = {
    server: null,
    stopTimeoutMs: 5,
    status: () => makeStatus(),
    warn: (text: string) => warnings.push(text),
  };
  let socket = "/run/p.sock";
  let isFull = false;
  const saver = new StateSaver(folder, supervisor as unknown as Supervisor, () => {
    if (isFull) throw Object.assign(new Error("no space"), { code: "ENOSPC" });
    return socket;
  });
  try {
    await saver.saveFirst();
    isFull = true;
    socket = "/elsewhere/p.sock";
    saver.save();
    await saver.settled();
    expect(warnings).toEqual([expect.stringContaining("no space left on the disk")]);
    isFull = false;
    await saver.restore();
    expect((await readState(folder, "p"))?.socket).toBe("/elsewhere/p.sock");
  } finally {
    await rm(folder, { recursive: true });
  }
});
