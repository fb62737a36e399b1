import { afterEach, beforeEach, expect, test } from "vitest";
import type { Candidate } from "../../../../src/bench/tune/candidate.ts";
import { nothingFound, type Search } from "../../../../src/bench/tune/search.ts";
import { planTraces } from "../../../../src/bench/tune/trace-candidates.ts";
import { FakeSession } from "../../../support/fake-session.ts";
import { makeProfile } from "../../../support/llama-help.ts";

let session: FakeSession;
beforeEach(() => {
  session = new FakeSession({ PATH: "/bin", HOME: "/root" });
});
afterEach(() => session[Symbol.dispose]());

test("a candidate that the build refuses ends no search, and is not taken for one that does not pay", async () => {
  const profile = makeProfile({ model: session.writeModel("target.gguf") });
  const makeCandidate = (label: string, model: string): Candidate => ({
    label,
    source: "model",
    draft: { type: "draft-simple", on_mismatch: "disable", on_loss: "warn", model },
    bestPossible: null,
    costShare: null,
  });
  const found = nothingFound();
  found.candidates = {
    left: [makeCandidate("gone", "/nowhere/draft.gguf"), makeCandidate("there", session.writeModel("draft.gguf"))],
    rejected: [],
  };
  const planned = await planTraces({ options: { profile, session } } as unknown as Search, found);
  expect(planned.map(({ candidate }) => candidate.label)).toEqual(["there"]);
  expect(found.unjudged).toEqual(["gone"]);
  expect(found.notes).toEqual([expect.stringMatching(/^gone: .*draft\.gguf/)]);
});
