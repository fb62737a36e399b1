import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { checkSpace } from "../../../../src/hub/download/free-space.ts";

const huge = 2 ** 53;

test.each([tmpdir(), join(tmpdir(), "llmctl-none/a/b/c")])(
  "the disk of %s has room for nothing, and not for all",
  async (folder) => {
    await checkSpace(0, { folder, setting: "STORE" });
    await expect(checkSpace(huge, { folder, setting: "STORE" })).rejects.toMatchObject({
      code: "no-space",
      exit: "io",
      at: folder,
      message: expect.stringMatching(/^9007\.2 TB are needed, but only \d+(\.\d)? \w+ are free$/) as string,
      fix: expect.stringMatching(/^free \d+\.\d TB, or set STORE to a folder on a larger disk$/) as string,
    });
  },
);

test("a folder that cannot be looked at is the system's error", async () => {
  await expect(checkSpace(0, { folder: "/etc/passwd/below", setting: "STORE" })).rejects.toMatchObject({
    code: "ENOTDIR",
  });
});
