import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findLastFailure } from "../../../../src/fleet/units/unit-failure.ts";
import { recordFailedStart } from "../../../../src/supervisor/failed-start.ts";
import type { ExitCause } from "../../../../src/supervisor/launch.ts";
import { FakeSession } from "../../../support/fake-session.ts";

let machine: FakeSession;
beforeEach(() => {
  machine = new FakeSession();
});
afterEach(() => machine[Symbol.dispose]());

const unit = (more: Readonly<Record<string, string>> = {}) =>
  new Map(
    Object.entries({ ActiveState: "failed", NRestarts: "0", Result: "exit-code", ExecMainStatus: "78", ...more }),
  );
const find = (more: Readonly<Record<string, string>> = {}) => findLastFailure(machine.paths, "p", unit(more));
const active = { ActiveState: "active" };

/** The event log of the profile. */
function log(...lines: readonly string[]): void {
  const text = lines.map((line, second) => `2026-01-01T00:00:0${second}.000Z +1.000 ${line}\n`).join("");
  machine.write("home/state/p/supervisor.log", text);
}

describe("why a service last failed", () => {
  test("is its last failure, with its cause and time", async () => {
    log("failed crashed failed: it crashed", "loading - loading", "failed killed failed: it was killed; do that");
    expect(await find()).toEqual({
      message: "it was killed; do that [killed], 2026-01-01T00:00:02.000Z",
      fix: undefined,
    });
    log("failed - it failed");
    expect((await find())?.message).toBe("it failed, 2026-01-01T00:00:00.000Z");
  });

  test("is not known while it runs and has not failed, or since it was ready again", async () => {
    expect(await find(active)).toBeUndefined();
    log("failed crashed failed: it crashed", "ready - ready");
    expect(await find(active)).toBeUndefined();
    log("failed crashed failed: it crashed", "stopped - stopped");
    expect(await find({ ActiveState: "inactive" })).toBeUndefined();
  });

  test("is an earlier one where systemd has started it again since then", async () => {
    log("failed crashed failed: it crashed", "ready - ready");
    const message = "it crashed [crashed], 2026-01-01T00:00:00.000Z";
    expect(await find({ ...active, NRestarts: "1" })).toMatchObject({ message });
    expect(await find({ ...active, NRestarts: "0" })).toBeUndefined();
    expect(await find({ ActiveState: "inactive", NRestarts: "1" })).toBeUndefined();
  });

  test("is nobody's fault where it was stopped before it was ready", async () => {
    log("loading - loading", "stopped - stopped");
    expect(await find()).toEqual({ message: "none: it was stopped before it was ready, as somebody asked" });
  });

  test.each<[string, readonly string[]]>([
    ["without a line", []],
    ["after it was ready", ["ready - ready"]],
    ["while it loads", ["stopped - stopped", "loading - loading"]],
  ])("is not told by a supervisor that ended %s", async (_, lines) => {
    if (lines.length > 0) log(...lines);
    expect(await find()).toEqual({
      message: "its supervisor exited and wrote no error (result exit-code, exit status 78)",
      fix: `see what it printed: journalctl, and ${machine.paths.state}/p/supervisor.log`,
    });
  });

  test("has the fix apart from the words, while the state still has it", async () => {
    const cause: ExitCause = {
      kind: "bad-flag",
      message: "a bad flag",
      fix: "remove it",
      permanent: true,
      exit: "config",
    };
    const warn = () => expect.unreachable();
    await recordFailedStart(machine.paths, { name: "p", profilePath: "/p.yaml", cause }, warn);
    expect(await find()).toEqual({
      message: expect.stringMatching(/^not started: a bad flag \[bad-flag\], 20/) as string,
      fix: "remove it",
    });
    log("failed crashed failed: it crashed; do that");
    expect(await find()).toMatchObject({ fix: undefined });
  });
});
