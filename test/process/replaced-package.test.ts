import { cp, mkdir, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { expect, test } from "vitest";
import { llmctl } from "../support/llmctl.ts";
import { readStatus, untilStatus } from "../support/processes.ts";
import { TempHome } from "../support/temp-home.ts";

const repository = join(import.meta.dirname, "../..");

/** A separate package, as npm installs it. @returns its `dist`. */
async function installPackage(folder: string): Promise<string> {
  await mkdir(folder);
  for (const name of ["dist", "package.json"])
    await cp(join(repository, name), join(folder, name), { recursive: true });
  await symlink(join(repository, "profiles"), join(folder, "profiles"));
  return join(folder, "dist");
}

async function truncateAll(dist: string): Promise<void> {
  for (const entry of await readdir(dist, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) await writeFile(join(entry.parentPath, entry.name), "import {");
}

test.each([
  { state: "half replaced", damage: truncateAll },
  { state: "gone", damage: (dist: string) => rm(dist, { recursive: true }) },
])("a supervisor does all its work while its package is $state", async ({ damage }) => {
  await using home = await TempHome.create();
  const dist = await installPackage(home.join("package"));
  await home.writeFakeProfile("p", {}, { restart: { backoff: "1ms" } });
  await execa(process.execPath, [join(dist, "main.js"), "up", "-d", "p"], { env: { LLMCTL_HOME: home.path } });
  const { pid } = await readStatus(home, "p");
  await damage(dist);

  process.kill(Number(pid), "SIGKILL");
  await untilStatus(home, "p", "ready again", ({ state, restarts }) => state === "ready" && restarts === 1);
  const metrics = await llmctl(["metrics", "p"], { home });
  expect(metrics.stdout).toContain('llmctl_restarts_total{cause="killed",profile="p"} 1');
  expect((await llmctl(["events", "p"], { home })).stdout).toContain("SIGKILL");
  expect(await llmctl(["down", "p"], { home })).toMatchObject({ exitCode: 0 });
});
