import { afterAll, describe, inject, test } from "vitest";
import { GateComparison, pairsFor } from "../gate/compare-with-server.ts";
import { expectSame } from "../gate/expect-same.ts";
import { demoPairs } from "../gate/pairs.ts";

// The demo models' vocabulary only: a second or two. `npm run test:gate` adds llama.cpp's own vocabularies.
for (const { ref, server } of inject("llamaBuilds")) {
  const pairs = pairsFor(await demoPairs(), ref);

  describe(`the gate's account of llama.cpp ${ref}`, async () => {
    const comparison = await GateComparison.create(server);
    afterAll(() => comparison[Symbol.asyncDispose]());

    test.for(pairs)("$name ($type)", async (pair) => {
      expectSame(await comparison.compare(pair));
    });
  });
}
