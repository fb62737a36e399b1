import { mkdir, mkdtemp, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findServer, listBuilds, useBuild, useBuildBefore } from "../../../../src/llama/ask/builds.ts";

let data: string;
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), "llmctl-builds-"));
});
afterEach(async () => rm(data, { recursive: true, force: true }));

const at = "profiles/demo.yaml:3:5";

async function install(id: string, ref: string, more: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const folder = join(data, "llama.cpp", id);
  await mkdir(join(folder, "bin"), { recursive: true });
  await writeFile(join(folder, "bin/llama-server"), "", { mode: 0o755 });
  const known = {
    schema: 1,
    id,
    ref,
    commit: "abc",
    version: "0.5.0 (build 1, commit abc)",
    backend: "cpu",
    portable: true,
  };
  await writeFile(
    join(folder, "manifest.json"),
    JSON.stringify({ ...known, date: "2026-10-01T12:00:00.000Z", ...more }),
  );
  return folder;
}

async function makeCurrent(id: string): Promise<void> {
  await symlink(id, join(data, "llama.cpp/current"));
}

describe("listBuilds", () => {
  test("without a folder there are no builds", async () => {
    expect(await listBuilds(data)).toEqual({ builds: [], broken: [] });
  });

  test("lists the newest first, and marks the current one; unfinished builds are not listed", async () => {
    await install("old-cpu", "b7698", { date: "2026-01-10T00:00:00.000Z" });
    const folder = await install("new-cpu", "v0.5.0");
    await mkdir(join(data, "llama.cpp/.work/unfinished"), { recursive: true });
    await makeCurrent("old-cpu");
    const { builds, broken } = await listBuilds(data);
    expect(broken).toEqual([]);
    expect(builds.map(({ id, current }) => [id, current])).toEqual([
      ["new-cpu", false],
      ["old-cpu", true],
    ]);
    expect(builds[0]).toMatchObject({
      folder,
      server: join(folder, "bin/llama-server"),
      cli: join(folder, "bin/llama-cli"),
      portable: true,
    });
  });

  test.each([
    ["not JSON", "{", "manifest.json is not JSON"],
    ["not an object", "7", /^manifest\.json: .*object/],
    ["a newer schema", JSON.stringify({ schema: 2 }), /^manifest\.json: schema: /],
    ["far too large", " ".repeat(70_000), "manifest.json has 70000 bytes, too many for a manifest"],
  ])("a manifest that is %s makes that build broken and no other", async (_, text, problem) => {
    await install("good", "v0.5.0");
    const folder = await install("bad", "b7698");
    await writeFile(join(folder, "manifest.json"), text);
    const { builds, broken } = await listBuilds(data);
    expect(builds.map(({ id }) => id)).toEqual(["good"]);
    expect(broken).toMatchObject([{ id: "bad", problem: expect.stringMatching(problem) }]);
  });

  test("terminal codes, another build's manifest, and a missing server make a build broken", async () => {
    await install("coloured", "\u001b[31mv0.5.0");
    await install("copied", "v0.5.0", { id: "another" });
    await rm(join(await install("emptied", "v0.5.0"), "bin"), { recursive: true });
    const { builds, broken } = await listBuilds(data);
    expect(builds).toEqual([]);
    expect(Object.fromEntries(broken.map(({ id, problem }) => [id, problem]))).toEqual({
      coloured: "manifest.json: ref: not a line of plain text",
      copied: 'its manifest.json belongs to build "another"',
      emptied: expect.stringContaining("ENOENT"),
    });
  });
});

describe("findServer", () => {
  test("the user's own binary comes first, and the llama-cli in its folder is found", async () => {
    const binary = join(data, "llama-server");
    expect(await findServer({ binary }, data, at)).toEqual({ server: binary, cli: undefined, label: binary });
    await writeFile(join(data, "llama-cli"), "");
    expect((await findServer({ binary }, data, at)).cli).toBe(join(data, "llama-cli"));
  });

  test("the current build is the default; a profile may name another by id or ref", async () => {
    const a = await install("v0.5.0-cpu-1", "v0.5.0");
    const b = await install("b7698-cpu-2", "b7698", { portable: false });
    await makeCurrent("b7698-cpu-2");
    const label = "llama.cpp b7698 (cpu)";
    expect(await findServer({}, data, at)).toEqual({
      server: join(b, "bin/llama-server"),
      cli: join(b, "bin/llama-cli"),
      label,
    });
    expect((await findServer({ build: "v0.5.0" }, data, at)).server).toBe(join(a, "bin/llama-server"));
    expect((await findServer({ build: "v0.5.0-cpu-1" }, data, at)).label).toBe("llama.cpp v0.5.0 (cpu, portable)");
  });

  test("of several builds of one ref the current one is taken, else the newest", async () => {
    const older = await install("v0.5.0-cpu-1", "v0.5.0", { date: "2026-09-30T00:00:00.000Z" });
    const newer = await install("v0.5.0-cuda-2", "v0.5.0");
    expect((await findServer({ build: "v0.5.0" }, data, at)).server).toBe(join(newer, "bin/llama-server"));
    await makeCurrent("v0.5.0-cpu-1");
    expect((await findServer({ build: "v0.5.0" }, data, at)).server).toBe(join(older, "bin/llama-server"));
  });

  test("without a build the fix is the command that installs one", async () => {
    await expect(findServer({}, data, at)).rejects.toMatchObject({
      code: "build-missing",
      exit: "missingFile",
      at,
      fix: { run: ["build"] },
    });
  });

  test("without a current build the fix is the command that selects one", async () => {
    await install("v0.5.0-cpu-1", "v0.5.0");
    await makeCurrent("removed-by-hand");
    await expect(findServer({}, data, at)).rejects.toMatchObject({
      code: "build-missing",
      fix: { run: ["build", "--use", "v0.5.0-cpu-1"] },
    });
  });

  test("the error for an unknown build lists the installed ones, the nearest, and the build command", async () => {
    await install("v0.5.0-cpu-1", "v0.5.0");
    await expect(findServer({ build: "v0.5.1" }, data, at)).rejects.toMatchObject({
      code: "build-unknown",
      message: 'no build "v0.5.1" of llama.cpp is installed; installed: v0.5.0-cpu-1',
      at,
      fix: { before: 'did you mean "v0.5.0"? if not, run', run: ["build", "--ref", "v0.5.1"] },
    });
  });

  test("the error for a broken build names its fault", async () => {
    await install("bad", "v0.5.0", { backend: 7 });
    await expect(findServer({ build: "bad" }, data, at)).rejects.toMatchObject({
      code: "build-broken",
      message: expect.stringMatching(/^build "bad" cannot be used: manifest\.json: backend: /),
    });
  });
});

describe("useBuild", () => {
  test("makes another build the current one, and refuses an unknown one", async () => {
    await install("v0.5.0-cpu-1", "v0.5.0");
    await install("b7698-cpu-2", "b7698");
    await makeCurrent("v0.5.0-cpu-1");
    expect(await useBuild("b7698", data)).toMatchObject({ id: "b7698-cpu-2", current: true });
    expect(await readlink(join(data, "llama.cpp/current"))).toBe("b7698-cpu-2");
    await expect(useBuild("b9", data)).rejects.toMatchObject({ code: "build-unknown" });
    expect(await readlink(join(data, "llama.cpp/current"))).toBe("b7698-cpu-2");
  });

  test("links the previous build, so that a rollback can switch back and forth", async () => {
    await install("v0.5.0-cpu-1", "v0.5.0");
    await install("b7698-cpu-2", "b7698");
    await makeCurrent("b7698-cpu-2");
    await expect(useBuildBefore(data)).rejects.toMatchObject({ code: "build-missing", exit: "missingFile" });
    await useBuild("v0.5.0", data);
    await useBuild("v0.5.0", data); // the same build again changes nothing
    expect(await useBuildBefore(data)).toMatchObject({ id: "b7698-cpu-2" });
    expect(await useBuildBefore(data)).toMatchObject({ id: "v0.5.0-cpu-1" });
    expect((await listBuilds(data)).builds).toHaveLength(2);
  });

  test("the error for a rollback to a deleted build names it", async () => {
    await install("v0.5.0-cpu-1", "v0.5.0");
    await makeCurrent("removed-by-hand");
    await useBuild("v0.5.0", data);
    await expect(useBuildBefore(data)).rejects.toMatchObject({
      code: "build-unknown",
      message: expect.stringContaining("removed-by-hand"),
    });
  });
});
