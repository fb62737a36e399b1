import { chown, lchown, mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { expectTrustedPath, findOtherOwner } from "../../../../src/base/files/trusted-path.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-way-"));
  await mkdir(join(folder, "a", "b"), { recursive: true });
});
afterEach(() => rm(folder, { recursive: true }));

test("a path of one's own folders and root's is safe, also with one's own link or a missing end", async () => {
  await symlink(join(folder, "a"), join(folder, "link"));
  await symlink("../a/./b", join(folder, "a", "relative"));
  await symlink("loop", join(folder, "loop"));
  for (const path of ["a/b", "link/b", "a/relative", "missing/below", "a/b/../b", "loop"])
    expectTrustedPath(join(folder, path));
});

// Only root can give a folder to another user.
describe.runIf(process.getuid?.() === 0)("another user's entry on the path", () => {
  const refusal = (what: string) =>
    expect.objectContaining({ code: "foreign-folder", exit: "permission", message: expect.stringContaining(what) });

  test("a folder is refused, however it is reached", async () => {
    await chown(join(folder, "a"), 65_534, 65_534);
    await symlink(join(folder, "a", "b"), join(folder, "link"));
    await symlink("../a", join(folder, "dots"));
    for (const path of ["a", "a/b", "a/b/missing", "link", "link/below"])
      expect(() => expectTrustedPath(join(folder, path))).toThrow(
        refusal(`the folder ${join(folder, "a")} belongs to "nobody" (uid 65534)`),
      );
    expect(findOtherOwner(join(folder, "a", "b"))).toBe(65_534);
    expectTrustedPath(folder);
  });

  test("a link is refused, wherever it leads", async () => {
    await symlink("a", join(folder, "link"));
    await lchown(join(folder, "link"), 65_534, 65_534);
    for (const path of ["link", "link/b"])
      expect(() => expectTrustedPath(join(folder, path))).toThrow(refusal(`the link ${join(folder, "link")}`));
  });
});
