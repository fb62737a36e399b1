import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { listCommands } from "../../support/cli-commands.ts";

test("every command is in the README", () => {
  const readme = readFileSync(new URL("../../../README.md", import.meta.url), "utf8");
  const missing = listCommands()
    .map(({ path }) => `llmctl ${path[0]}`)
    .filter((command) => !readme.includes(command));
  expect([...new Set(missing)]).toEqual([]);
});

test("every command and every option says what it does", () => {
  const silent = listCommands().flatMap(({ path, command }) => [
    ...(command.description() === "" ? [path.join(" ")] : []),
    ...command.options.filter(({ description }) => description === "").map(({ flags }) => `${path.join(" ")} ${flags}`),
  ]);
  expect(silent).toEqual([]);
});
