import { symlink } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { isShipped, listProfiles, profileFolders } from "../../../src/profiles/find.ts";
import { ProfileFolder } from "../../support/profile-folder.ts";

test("folders are searched from the project's to the package's", () => {
  const folders = profileFolders({ paths: { config: "/home/ada/.config/llmctl" }, cwd: "/work" });
  expect(folders.slice(0, 3)).toEqual(["/work/profiles", "/home/ada/.config/llmctl/profiles", "/etc/llmctl/profiles"]);
  expect(folders[3]).toBe(join(import.meta.dirname, "../../../profiles"));
});

test("llmctl's own checkout is searched once, and last, so that the user's profiles win there, too", () => {
  const checkout = join(import.meta.dirname, "../../..");
  const folders = profileFolders({ paths: { config: "/c" }, cwd: checkout });
  expect(folders).toEqual(["/c/profiles", "/etc/llmctl/profiles", join(checkout, "profiles")]);
  expect([isShipped(join(checkout, "profiles/demo.yaml")), isShipped("/c/profiles/demo.yaml")]).toEqual([true, false]);
});

test("a list has every file by name, with the file that hides it and its problems", async () => {
  await using folder = await ProfileFolder.create({
    "near/b.yaml": "description: near b\nnot_checked_here: 1",
    "near/broken.yaml": "a: 'x",
    "near/notes.txt": "",
    "near/Bad Name.yaml": "",
    "far/b.yml": "description: far b",
    "far/a.yaml": "model: m",
  });
  const [near = "", far = ""] = folder.options().folders;
  expect(await listProfiles([near, join(folder.cwd, "gone"), far])).toEqual([
    { name: "a", path: join(far, "a.yaml") },
    { name: "b", path: join(near, "b.yaml"), description: "near b" },
    { name: "b", path: join(far, "b.yml"), description: "far b", shadowedBy: join(near, "b.yaml") },
    {
      name: "broken",
      path: join(near, "broken.yaml"),
      problem: `profile "broken" is not valid YAML: missing closing 'quote`,
    },
  ]);
});

test("a file that the system cannot open is unreadable", async () => {
  await using folder = await ProfileFolder.create({ "near/other.yaml": "" });
  await symlink("loop.yaml", join(folder.cwd, "near/loop.yaml"));
  expect(await folder.refuse("near/loop.yaml")).toMatchObject({
    code: "profile-unreadable",
    message: 'profile "loop" cannot be read (ELOOP)',
  });
});
