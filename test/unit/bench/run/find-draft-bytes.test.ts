import { afterEach, beforeEach, expect, test } from "vitest";
import { findDraftBytes } from "../../../../src/bench/run/find-draft-bytes.ts";
import { type BenchSetting, planSetting } from "../../../../src/bench/servers/plan-setting.ts";
import { FakeSession } from "../../../support/fake-session.ts";
import { makeProfile } from "../../../support/llama-help.ts";

let session: FakeSession;
beforeEach(() => {
  session = new FakeSession({ PATH: "/bin", HOME: "/root" });
});
afterEach(() => session[Symbol.dispose]());

async function plan(draft: Readonly<Record<string, unknown>>): Promise<readonly [BenchSetting, BenchSetting]> {
  const profile = makeProfile({ model: session.writeModel("target.gguf"), draft });
  return [
    await planSetting(profile, undefined, { label: "none", session }),
    await planSetting(profile, profile.values.draft, { label: "profile", session }),
  ];
}

// The fake build has no llama-fit-params.
test("where the build does not tell, the memory of a draft is at least its file", async () => {
  const [plain, drafting] = await plan({ model: session.writeModel("draft.gguf") });
  const own = drafting.launch.files.filter(({ path }) => path.endsWith("draft.gguf"));
  expect(own).toHaveLength(1);
  expect(await findDraftBytes(plain, drafting, session)).toBe(own[0]?.sizeBytes);
});

test("where there is no file either, it is not known", async () => {
  const [plain, drafting] = await plan({ type: "ngram-mod" });
  expect(await findDraftBytes(plain, drafting, session)).toBeNull();
});
