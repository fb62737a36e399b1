import { chmod, chown, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { describeUser, ensureOwnFolder, expectOwnFolder } from "../../../../src/base/files/own-folder.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-own-"));
});
afterEach(() => rm(folder, { recursive: true }));

const modeOf = async (path: string) => (await stat(path)).mode & 0o777;
const refusal = (message: string) =>
  expect.objectContaining({ code: "foreign-folder", exit: "permission", message: expect.stringContaining(message) });

test("is created with its parents, for its owner only, and a second call is harmless", async () => {
  const path = join(folder, "a", "b");
  ensureOwnFolder(path);
  ensureOwnFolder(path);
  expect([await modeOf(path), await modeOf(join(folder, "a"))]).toEqual([0o700, 0o700]);
});

test("others lose the right to read an existing folder; the owner's rights are kept", async () => {
  const path = join(folder, "a");
  await mkdir(path);
  await chmod(path, 0o555);
  ensureOwnFolder(path);
  expect(await modeOf(path)).toBe(0o500);
});

test("a folder that others can write is accepted while empty, and refused otherwise", async () => {
  const path = join(folder, "a");
  await mkdir(path);
  await chmod(path, 0o777);
  ensureOwnFolder(path);
  expect(await modeOf(path)).toBe(0o700);
  await chmod(path, 0o770);
  await writeFile(join(path, "planted"), "");
  expect(() => ensureOwnFolder(path)).toThrow(refusal(`the folder ${path} can be written by other users`));
  expect(() => expectOwnFolder(path)).toThrow(refusal("can be written by other users"));
});

test("a link is refused, even to one's own folder", async () => {
  await mkdir(join(folder, "real"));
  await symlink(join(folder, "real"), join(folder, "link"));
  expect(() => ensureOwnFolder(join(folder, "link"))).toThrow(refusal("is a link"));
});

test("a file in its place is the system's error", async () => {
  await writeFile(join(folder, "file"), "");
  expect(() => ensureOwnFolder(join(folder, "file"))).toThrow(expect.objectContaining({ code: "ENOTDIR" }));
  expect(() => ensureOwnFolder(join(folder, "file", "below"))).toThrow(
    expect.objectContaining({ code: expect.stringMatching(/ENOTDIR|EEXIST/) }),
  );
});

test.runIf(process.getuid?.() === 0)("a folder of another user is refused with the owner's name", async () => {
  const path = join(folder, "a");
  await mkdir(path);
  await chown(path, 65_534, 65_534);
  expect(() => ensureOwnFolder(path)).toThrow(
    refusal(`the folder ${path} belongs to "nobody" (uid 65534), not to you ("root" (uid 0))`),
  );
});

test("a user is called by name, if there is a name", async () => {
  const [name, , uid] = (await readFile("/etc/passwd", "utf8")).split("\n")[0]?.split(":") ?? [];
  expect(describeUser(Number(uid))).toBe(`"${name}" (uid ${uid})`);
  expect(describeUser(4_123_456)).toBe("uid 4123456");
});

// Node's own recursive mkdir never returns here.
test.runIf(process.platform === "linux")("a folder that the system does not allow is the system's error", () => {
  expect(() => ensureOwnFolder("/proc/none/below")).toThrow(expect.objectContaining({ code: "ENOENT" }));
});
