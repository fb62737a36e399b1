import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { checkout } from "../../support/checkout.ts";

test("the dashboard uses only metrics that exist", async () => {
  const read = (path: string) => readFile(join(checkout, path), "utf8");
  const { panels } = JSON.parse(await read("contrib/grafana-dashboard.json")) as {
    panels: { targets: { expr: string }[] }[];
  };
  const source = await read("src/control/metrics-book.ts");
  const asked = panels.flatMap(({ targets }) => targets.flatMap(({ expr }) => expr.match(/llmctl_\w+/g) ?? []));
  expect(asked.length).toBeGreaterThan(5);
  for (const name of new Set(asked)) expect(source).toContain(`"${name.replace("llmctl_", "")}"`);
});
