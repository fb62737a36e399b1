import {
  chmod,
  chown,
  lchown,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  createFileAtomic,
  removeUnfinished,
  replaceFileAtomic,
  writeFileAtomic,
} from "../../../../src/base/files/atomic-write.ts";
import { FakeFiles } from "../../../support/fake-files.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-test-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** The three ways to write, by the state of the path before. */
const ways = [
  {
    way: "write",
    before: { "a.json": "old" },
    run: (files: FakeFiles) => writeFileAtomic(files.join("a.json"), "new", { files: files.operations }),
    place: ["rename a.json.tmp a.json"],
  },
  {
    way: "write (a new file)",
    before: {},
    run: (files: FakeFiles) => writeFileAtomic(files.join("a.json"), "new", { files: files.operations }),
    place: ["rename a.json.tmp a.json"],
  },
  {
    way: "create",
    before: {},
    run: (files: FakeFiles) => createFileAtomic(files.join("a.json"), "new", { files: files.operations }),
    place: ["link a.json.tmp a.json", "rm a.json.tmp"],
  },
  {
    way: "replace",
    before: { "a.json": "old" },
    run: (files: FakeFiles) => replaceFileAtomic(files.join("a.json"), "new", { files: files.operations }),
    place: ["rename a.json.tmp a.json"],
  },
];

describe.each(ways)("to $way atomically", ({ way, before, run, place }) => {
  const old: string | undefined = before["a.json"];

  test("syncs the bytes before the file gets its name, and the folder after it", async () => {
    await using files = await FakeFiles.create(before);
    await run(files);
    expect(files.journal.filter((step) => !step.startsWith("chmod"))).toEqual([
      "open a.json.tmp",
      "write a.json.tmp",
      "sync a.json.tmp",
      ...place,
      "sync .",
    ]);
  });

  test("leaves the old content or the new one when the power fails, and the new one at the end", async () => {
    await using files = await FakeFiles.create(before);
    await run(files);
    for (const { afterCut } of files.steps) for (const left of afterCut) expect([old, "new"]).toContain(left["a.json"]);
    expect(files.steps.at(-1)?.afterCut).toEqual([{ "a.json": "new" }, { "a.json": "new" }]);
  });

  test("leaves nothing unfinished after an error in any step, which is told", async () => {
    const steps = way === "replace" ? 6 : 4 + place.length;
    for (let failing = 0; failing < steps; failing += 1) {
      await using files = await FakeFiles.create(before);
      const code = ["ENOSPC", "EIO", "EACCES"][failing % 3];
      files.fault = (_, n) => (n === failing ? code : undefined);
      await expect(run(files)).rejects.toMatchObject({ code });
      const isPlaced = files.journal.includes(place[0] ?? "");
      expect(files.read()).toEqual(isPlaced ? { "a.json": "new" } : before);
      expect(files.open).toEqual([]);
    }
  });
});

describe("writeFileAtomic", () => {
  test("writes the content, readable by its owner only", async () => {
    const path = join(folder, "state.json");
    await writeFileAtomic(path, "{}");
    expect(await readFile(path, "utf8")).toBe("{}");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  test("makes missing folders for their owner only", async () => {
    const path = join(folder, "a/b/state.json");
    await writeFileAtomic(path, new Uint8Array([1, 2]));
    expect(await readFile(path)).toEqual(Buffer.from([1, 2]));
    expect((await stat(join(folder, "a/b"))).mode & 0o777).toBe(0o700);
  });

  test("a place that cannot be replaced is left as it is", async () => {
    const path = join(folder, "state.json");
    await mkdir(path);
    await writeFile(join(path, "inside"), "kept");
    await expect(writeFileAtomic(path, "new")).rejects.toThrow(/EISDIR|ENOTEMPTY|EEXIST/);
    expect(await readdir(folder)).toEqual(["state.json"]);
    expect(await readFile(join(path, "inside"), "utf8")).toBe("kept");
  });

  test("a reader sees whole content while several processes write", async () => {
    const path = join(folder, "state.json");
    const contents = ["a", "b", "c"].map((letter) => letter.repeat(300_000));
    await writeFileAtomic(path, contents[0] ?? "");
    const writes = contents.flatMap((content) => [1, 2, 3].map(() => writeFileAtomic(path, content)));
    const reads = Array.from({ length: 30 }, async () => contents.includes(await readFile(path, "utf8")));
    await Promise.all(writes);
    expect(await Promise.all(reads)).not.toContain(false);
    expect(await readdir(folder)).toEqual(["state.json"]);
  });
});

describe("createFileAtomic", () => {
  test("never takes the place of a file", async () => {
    const path = join(folder, "a/profile.yaml");
    await createFileAtomic(path, "mine", { mode: 0o644 });
    await expect(createFileAtomic(path, "other")).rejects.toThrow("EEXIST");
    expect(await readFile(path, "utf8")).toBe("mine");
    expect((await stat(path)).mode & 0o777).toBe(0o644);
    expect(await readdir(join(folder, "a"))).toEqual(["profile.yaml"]);
  });
});

describe("replaceFileAtomic", () => {
  test("keeps the file's mode, whatever the umask", async () => {
    const path = join(folder, "profile.yaml");
    await writeFile(path, "old");
    await chmod(path, 0o666);
    await replaceFileAtomic(path, "new");
    expect(await readFile(path, "utf8")).toBe("new");
    expect((await stat(path)).mode & 0o777).toBe(0o666);
  });

  test("shows the content to nobody who could not read the file before", async () => {
    await using files = await FakeFiles.create({ "profile.yaml": "old" });
    await chmod(files.join("profile.yaml"), 0o640);
    await replaceFileAtomic(files.join("profile.yaml"), "new", { files: files.operations });
    expect(files.journal.slice(0, 3)).toEqual([
      "open profile.yaml.tmp",
      "chmod profile.yaml.tmp",
      "write profile.yaml.tmp",
    ]);
  });

  // Only root can give a file to another user.
  test.runIf(process.getuid?.() === 0).each([
    [65_534, 65_534],
    [65_534, 0],
    [0, 65_534],
  ])("keeps the owner %d and the group %d, for an edit by root", async (uid, gid) => {
    const path = join(folder, "profile.yaml");
    await writeFile(path, "old");
    await chown(path, uid, gid);
    await chmod(path, 0o4755);
    await replaceFileAtomic(path, "new");
    expect(await readFile(path, "utf8")).toBe("new");
    expect(await stat(path)).toMatchObject({ uid, gid, mode: 0o104755 });
  });

  test("does not change the owner of a file that is the caller's", async () => {
    await using files = await FakeFiles.create({ "profile.yaml": "old" });
    await replaceFileAtomic(files.join("profile.yaml"), "new", { files: files.operations });
    expect(files.journal.filter((step) => step.startsWith("chown"))).toEqual([]);
  });

  test("writes where a link leads, and leaves the link", async () => {
    await mkdir(join(folder, "dotfiles"));
    await writeFile(join(folder, "dotfiles/profile.yaml"), "old");
    const path = join(folder, "profile.yaml");
    await symlink("dotfiles/profile.yaml", path);
    await replaceFileAtomic(path, "new");
    expect((await lstat(path)).isSymbolicLink()).toBe(true);
    expect(await readFile(join(folder, "dotfiles/profile.yaml"), "utf8")).toBe("new");
  });

  test("does not create a missing file", async () => {
    await expect(replaceFileAtomic(join(folder, "gone.yaml"), "new")).rejects.toThrow("ENOENT");
    expect(await readdir(folder)).toEqual([]);
  });
});

// Only root can give a folder to another user.
describe.runIf(process.getuid?.() === 0)("root", () => {
  test("writes nothing below a folder of another user, nor through a link of theirs", async () => {
    const foreign = join(folder, "foreign");
    await mkdir(foreign);
    await writeFile(join(foreign, "a.json"), "old");
    await writeFile(join(folder, "b.json"), "old");
    await symlink("foreign/a.json", join(folder, "into-foreign"));
    await symlink("../b.json", join(foreign, "out-of-foreign"));
    await symlink("b.json", join(folder, "foreign-link"));
    await symlink(".", join(folder, "foreign-way"));
    for (const name of ["foreign-link", "foreign-way"]) await lchown(join(folder, name), 65_534, 65_534);
    await chown(foreign, 65_534, 65_534);
    const refused = { code: "foreign-folder", exit: "permission" };
    await expect(writeFileAtomic(join(foreign, "a.json"), "new")).rejects.toMatchObject(refused);
    await expect(createFileAtomic(join(foreign, "c.json"), "new")).rejects.toMatchObject(refused);
    const names = ["foreign/a.json", "foreign/out-of-foreign", "into-foreign", "foreign-link", "foreign-way/b.json"];
    for (const name of names) await expect(replaceFileAtomic(join(folder, name), "new")).rejects.toMatchObject(refused);
    expect(await readFile(join(foreign, "a.json"), "utf8")).toBe("old");
    expect(await readFile(join(folder, "b.json"), "utf8")).toBe("old");
    expect((await readdir(foreign)).toSorted()).toEqual(["a.json", "out-of-foreign"]);
  });
});

test("what killed writers of a file have left is removed, and nothing else", async () => {
  const others = ["state.json", "state.json.lock", "other.json.9-ab.tmp", "state.jsonx.9-ab.tmp"];
  for (const name of [...others, "state.json.9-ab.tmp", "state.json.10-cd.tmp"])
    await writeFile(join(folder, name), "");
  await removeUnfinished(join(folder, "state.json"));
  expect((await readdir(folder)).toSorted()).toEqual(others.toSorted());
});
