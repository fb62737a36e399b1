import { defineConfig } from "vitest/config";

/** The unit project, in the copy of the checkout that the mutants are written into. */
export default defineConfig({
  test: {
    include: ["test/unit/**/*.test.ts"],
    isolate: false,
    testTimeout: 60_000,
  },
});
