import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Status } from "../../../src/control/messages.ts";
import { checkout } from "../../support/checkout.ts";

/** Which keys of a status Prometheus gets; a new key makes this table incomplete, and the compiler asks for it. */
const isMetric: Readonly<Record<keyof Status, boolean>> = {
  version: false,
  name: false, // a label of all metrics
  state: true,
  since: false,
  url: false,
  pid: false,
  supervisorPid: false,
  llmctl: false,
  launchVersion: false,
  drafting: true,
  tokensPerSecond: true,
  baselineTokensPerSecond: false,
  traffic: true,
  draftingSpeedup: true,
  loadMs: true,
  load: true,
  runs: true,
  restarts: false, // restartsByCause adds up to it
  restartsByCause: true,
  startedAt: true,
  lastExit: false,
  waitingFor: false,
  retryInMs: false,
  build: true,
  command: false,
  profile: false,
  dependsOn: false,
  hash: true,
  log: false,
  warnings: false,
};

test("metrics-book.ts renders the keys of a status that are metrics", () => {
  const source = readFileSync(join(checkout, "src/control/metrics-book.ts"), "utf8");
  const rendered = Object.keys(isMetric).filter((key) =>
    new RegExp(`status\\.${key}\\b|\\{ ${key} \\}: Status`).test(source),
  );
  expect(rendered).toEqual(Object.entries(isMetric).flatMap(([key, wanted]) => (wanted ? [key] : [])));
});
