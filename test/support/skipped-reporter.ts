import type { Reporter, TestModule, Vitest } from "vitest/node";

/** Names at the end of a run the tests that this machine cannot run, which no one notices in a list of passed ones. */
export class SkippedReporter implements Reporter {
  #vitest: Vitest | undefined;

  onInit(vitest: Vitest): void {
    this.#vitest = vitest;
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    // With `-t`, most tests are skipped on purpose.
    if (this.#vitest?.config.testNamePattern !== undefined) return;
    const names = modules.flatMap((module) =>
      [...module.children.allTests("skipped")].map((test) => `  ${module.relativeModuleId} > ${test.fullName}`),
    );
    if (names.length === 0) return;
    const why = "they need root, a memory cgroup, or LLMCTL_TEST_HUB_MODEL with a network";
    process.stdout.write(`\nNot run here (${why}):\n${names.join("\n")}\n`);
  }
}
