import { beforeEach, expect, test, vi } from "vitest";
import type { BenchEvent } from "../../../../src/bench/bench-event.ts";
import { BenchScreen } from "../../../../src/cli/measure/bench-screen.ts";

let [out, err] = ["", ""];

beforeEach(() => {
  [out, err] = ["", ""];
  vi.spyOn(process.stdout, "write").mockImplementation((text) => ((out += String(text)), true));
  vi.spyOn(process.stderr, "write").mockImplementation((text) => ((err += String(text)), true));
});

test.each<[string, BenchEvent, string]>([
  ["a note", { kind: "note", text: "goes on after 3 rounds" }, "goes on after 3 rounds\n"],
  ["a stage", { kind: "stage", text: "gate: draft-simple can draft" }, "gate: draft-simple can draft\n"],
  ["a server that is ready", { kind: "ready", label: "none", loadMs: 250 }, "none is ready after 250 ms\n"],
  ["a death", { kind: "died", label: "profile" }, 'the server "profile" has died; another one takes its place\n'],
])("%s is a line on stderr, and stdout has the result alone", (_, event, line) => {
  new BenchScreen().show(event);
  // oxlint-disable-next-line no-control-regex -- colours
  expect(err.replaceAll(/\u001b\[\d+m/g, "")).toBe(line);
  expect(out).toBe("");
});

test("where nothing is drawn in place, a load and a round write no line each", () => {
  const screen = new BenchScreen();
  screen.show({ kind: "load", label: "none", doneBytes: 1, totalBytes: 2 });
  screen.show({ kind: "round", doneMs: 1000, limitMs: 60_000, soFar: "1 round" });
  screen.clear();
  expect([out, err]).toEqual(["", ""]);
});

test("profiles that stop and run again are named, and what a server says cannot move the cursor", () => {
  const screen = new BenchScreen();
  screen.showStop({ kind: "stopped", name: "coder", found: { kind: "supervisor" } });
  screen.showStop({ kind: "nothing-running" });
  screen.showResume({ kind: "progress", name: "coder", message: "loading" });
  screen.showResume({ kind: "running", name: "coder" });
  screen.showResume({ kind: "failed", name: "other", message: "it died\u001b[2J", code: 10 });
  // oxlint-disable-next-line no-control-regex -- colours
  expect(err.replaceAll(/\u001b\[\d+m/g, "").split("\n")).toEqual([
    '"coder" is stopped; it starts again afterwards',
    '"coder" is running again',
    String.raw`"other" does not run again: it died\x1b[2J`,
    "",
  ]);
});
