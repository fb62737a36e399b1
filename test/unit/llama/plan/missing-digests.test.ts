import { afterEach, beforeEach, expect, test } from "vitest";
import { modelLockFolder, writeModelLock } from "../../../../src/hub/find/model-lock.ts";
import { describeMissingDigests } from "../../../../src/llama/plan/missing-digests.ts";
import { FakeSession } from "../../../support/fake-session.ts";
import { makeProfile } from "../../../support/llama-help.ts";

let session: FakeSession;
beforeEach(() => {
  session = new FakeSession();
});
afterEach(() => session[Symbol.dispose]());

const url = (name: string) => ({ url: `https://ada:s3cret@example.org/${name}.gguf` });
const digest = (digit: string) => digit.repeat(64);
const unchecked = "is not checked against a known digest: write { url, sha256 }";

async function lock(name: string, ...digests: readonly string[]): Promise<void> {
  const files = digests.map((one, index) => ({ name: `${name}-${index}.gguf`, sizeBytes: 1, digest: one }));
  await writeModelLock(modelLockFolder(session.paths.state), url(name), { files });
}

test("each model at an address without a digest gets a sentence with the digest of what came", async () => {
  await lock("draft", digest("a"));
  await lock("split", digest("b"), digest("c"));
  const { values } = makeProfile({
    model: url("target"),
    draft: { model: url("draft") },
    mmproj: url("split"),
    lora: [{ ...url("known"), sha256: digest("d") }, "/a.gguf", { hf: "o/r-GGUF", file: "a.gguf" }],
  });
  const said = await describeMissingDigests(values, session.paths);
  expect(said.map((one) => one.slice(one.indexOf(" ") + 1))).toEqual([
    unchecked,
    `${unchecked}; what came has sha256 ${digest("a")}`,
    `${unchecked}; what came has sha256 [${digest("b")}, ${digest("c")}]`,
  ]);
  expect(said.map((one) => one.split(" ")[0]).join(" ")).toMatch(
    /^https:\S*target\.gguf https:\S*draft\.gguf https:\S*split\.gguf$/,
  );
  expect(said.join()).not.toContain("s3cret");
});

test("a profile without addresses gets none", async () => {
  const { values } = makeProfile({ draft: { model: { hf: "o/r-GGUF", quant: "Q8_0" } } });
  expect(await describeMissingDigests(values, session.paths)).toEqual([]);
});
