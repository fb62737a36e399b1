import type { TestProject } from "vitest/node";
import { ensureLlamaBuild } from "./llama-builds.ts";

/** A real build; paths are absolute. */
export interface LlamaBuild {
  readonly ref: string;
  readonly server: string;
  readonly cli: string;
}

declare module "vitest" {
  interface ProvidedContext {
    /** The newest release that the project was tested with; `inject("llama")` in a test. */
    readonly llama: LlamaBuild;
    /** That release, and one from before drafting got its present flags. */
    readonly llamaBuilds: readonly LlamaBuild[];
  }
}

/**
 * Builds llama.cpp once for all test files. When that fails no test runs: a test that needs the real server is never
 * skipped.
 */
export async function setup(project: TestProject): Promise<void> {
  const newest = { ref: "v0.5.0", ...(await ensureLlamaBuild("v0.5.0")) };
  const old = { ref: "b7698", ...(await ensureLlamaBuild("b7698")) };
  project.provide("llama", newest);
  project.provide("llamaBuilds", [newest, old]);
}
