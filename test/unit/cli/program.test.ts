import { expect, test } from "vitest";
import { createProgram } from "../../../src/cli/program.ts";

const names = (word?: string) => createProgram(() => {}, word).commands.map((command) => command.name());

test("a program for a command's name has only that command; for any other word it has all", () => {
  const all = names();
  expect(all.length).toBeGreaterThan(20);
  for (const name of all) expect(names(name)).toContain(name);
  for (const word of ["plann", "--help", ""]) expect(names(word)).toEqual(all);
  // Each name is in the list of its group, so that no command costs more than its group.
  for (const name of all) expect(names(name).length).toBeLessThan(6);
});
