import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";

test("the dashboard uses only metrics that exist", async () => {
  const read = (path: string) => readFile(new URL(`../../../${path}`, import.meta.url), "utf8");
  const { panels } = JSON.parse(await read("contrib/grafana-dashboard.json")) as {
    panels: { targets: { expr: string }[] }[];
  };
  const source = await read("src/control/metrics-book.ts");
  const asked = panels.flatMap(({ targets }) => targets.flatMap(({ expr }) => expr.match(/llmctl_\w+/g) ?? []));
  expect(asked.length).toBeGreaterThan(5);
  for (const name of new Set(asked)) expect(source).toContain(`"${name.replace("llmctl_", "")}"`);
});
