import { afterAll, describe, inject, test } from "vitest";
import { readLlamaVocabs } from "../support/llama-vocabs.ts";
import { GateComparison, pairsFor } from "./compare-with-server.ts";
import { expectSame, isStricter } from "./expect-same.ts";
import { demoPairs, vocabPairs } from "./pairs.ts";

/** One of each kind: BPE, SPM, WPM and UGM. */
const edited = ["qwen2", "llama-spm", "bert-bge", "nomic-bert-moe"];

for (const { ref, server } of inject("llamaBuilds")) {
  const pairs = pairsFor([...(await demoPairs()), ...vocabPairs(await readLlamaVocabs(ref), edited)], ref);

  describe.concurrent(`the gate's account of llama.cpp ${ref}`, async () => {
    const comparison = await GateComparison.create(server);
    const stricter: string[] = [];
    let same = 0;

    afterAll(async () => {
      await comparison[Symbol.asyncDispose]();
      const lines = [
        `llama.cpp ${ref}: the same in ${same} of ${pairs.length} pairs; refused by llmctl alone:`,
        ...stricter,
      ];
      process.stdout.write(`${lines.join("\n  ")}\n`);
    });

    test.for(pairs)("$name ($type)", async (pair) => {
      const compared = await comparison.compare(pair);
      expectSame(compared);
      same += 1;
      if (isStricter(compared))
        stricter.push(`${pair.name}: ${compared.server.outcome}, ${compared.server.evidence.trim()}`);
    });
  });
}
