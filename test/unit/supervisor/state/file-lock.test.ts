import { expect, test } from "vitest";
import { stateUnwritable } from "../../../../src/supervisor/state/file-lock.ts";

test.each([
  ["ENOSPC", "no space left on the disk", "io"],
  ["EDQUOT", "no space left on the disk", "io"],
  ["EACCES", "no permission to write there", "permission"],
  ["EPERM", "no permission to write there", "permission"],
  ["EROFS", "the file system is read-only", "io"],
  ["ENOTDIR", "a file is in the place of a folder", "io"],
  ["EIO", "EIO: input/output error", "io"],
])("%s is described as: %s", (code, why, exit) => {
  const error = stateUnwritable("/a/b/f", Object.assign(new Error("EIO: input/output error"), { code }));
  expect(error).toMatchObject({ code: "state-unwritable", message: `cannot write /a/b/f: ${why}`, exit, at: "/a/b" });
  expect(error.fix).toBeTruthy();
});
