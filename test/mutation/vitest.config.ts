import { defineConfig } from "vitest/config";
import { fixedSeed } from "../support/seed.ts";

/** The unit project, in the copy of the checkout that the mutants are written into. */
export default defineConfig({
  test: {
    include: ["test/unit/**/*.test.ts"],
    isolate: false,
    restoreMocks: true,
    setupFiles: ["test/support/setup-unit.ts"],
    env: { LLMCTL_SEED: String(fixedSeed) },
    testTimeout: 60_000,
  },
});
