import { expect, test } from "vitest";
import { flagTable } from "../../../../src/llama/render/flag-table.ts";
import { readCatalogue, serverBuilds } from "../../../support/llama-help.ts";

/** Keys without a flag of llama-server on the newest build, and why. */
const without: Readonly<Record<string, string>> = {
  "draft.ctx_size": "newer builds take the context of the target",
  "rpc.cache": "a flag of the worker's program",
};

test("every key has a flag on the newest build: the table knows the present names", () => {
  const catalogue = readCatalogue(serverBuilds.at(-1) ?? "");
  const nameless = flagTable
    .filter(({ flags, shared = [] }) => ![...flags, ...shared].some((flag) => catalogue.has(flag)))
    .map(({ key }) => key);
  expect(nameless.toSorted()).toEqual(Object.keys(without).toSorted());
});
