import { defineConfig } from "vitest/config";
import { chooseSeed } from "./test/support/seed.ts";
import { SkippedReporter } from "./test/support/skipped-reporter.ts";

// The processes of all tests get the seed from their environment.
process.env["LLMCTL_SEED"] = String(chooseSeed());

/** On a busy machine, too, time enough that only a hang fails. */
const patient = { testTimeout: 60_000, hookTimeout: 60_000 } as const;
/** Real processes: few enough at once that none starves. */
const withProcesses = {
  ...patient,
  // No file changes what another one sees, and a file's processes are its own.
  isolate: false,
  restoreMocks: true,
  pool: "forks" as const,
  maxWorkers: 2,
  setupFiles: ["test/support/setup-commands.ts"],
};

// One project after the other: measured times and CPU use must not be those of another project's load.
export default defineConfig({
  test: {
    globalSetup: ["test/support/print-seed.ts"],
    experimental: { fsModuleCache: true },
    reporters: ["default", new SkippedReporter()],
    projects: [
      {
        test: {
          ...patient,
          name: "unit",
          include: ["test/unit/**/*.test.ts"],
          // Each worker loads zod, yaml, fast-check and the sources once, not once a file: a third of the CPU.
          isolate: false,
          maxWorkers: 2,
          // Without isolation a spy that a test leaves behind would be seen by the files after it.
          restoreMocks: true,
          setupFiles: ["test/support/setup-unit.ts"],
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...withProcesses,
          name: "process",
          include: ["test/process/**/*.test.ts"],
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...withProcesses,
          name: "llama",
          // llama-server's threads wait for each other without sleep: two servers at once on two cores are a hundred times slower.
          maxWorkers: 1,
          include: ["test/llama/**/*.test.ts"],
          testTimeout: 120_000,
          globalSetup: ["test/support/global-setup-llama.ts"],
          sequence: { groupOrder: 2 },
        },
      },
      // Minutes, and a download: not part of `npm test`, which leaves it to a few pairs in test/llama.
      {
        test: {
          ...withProcesses,
          name: "gate",
          include: ["test/gate/**/*.test.ts"],
          maxConcurrency: 2,
          testTimeout: 600_000,
          globalSetup: ["test/support/global-setup-llama.ts"],
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});
