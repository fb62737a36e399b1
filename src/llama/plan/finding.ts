import { LlmctlError, type Problem } from "../../base/errors.ts";
import type { ExitName } from "../../base/exit-codes.ts";

/**
 * - `error`: a start would fail, or `llmctl up` would refuse it
 * - `warning`: it starts, but not as the profile wants it
 * - `note`: good to know
 */
export type Rank = "error" | "warning" | "note";

export const ranks: readonly Rank[] = ["error", "warning", "note"];

/** One result of a plan or a check. */
export interface Finding extends Problem {
  readonly rank: Rank;
  /** Stable, kebab-case; for an error the `code` that a start would fail with. */
  readonly code: string;
  /** The exit code that a start would fail with; only of errors. */
  readonly exit?: ExitName;
}

/**
 * What happens to an error that a step finds. Warnings and notes are always kept.
 *
 * - `throw`: the error ends the plan (`up`)
 * - `mark`: it ends the plan, unless it says only what this machine lacks (`plan`)
 * - `collect`: it is kept, and the steps that do not need the failed one go on (`check`)
 */
type ErrorPolicy = "throw" | "mark" | "collect";

/** Collects what the steps of a plan find about one profile. */
export class Findings {
  readonly policy: ErrorPolicy;
  readonly #all: Finding[] = [];

  constructor(policy: ErrorPolicy) {
    this.policy = policy;
  }

  /** Errors first; each rank in the order of finding. */
  get ranked(): readonly Finding[] {
    return ranks.flatMap((rank) => this.#all.filter((finding) => finding.rank === rank));
  }

  get hasErrors(): boolean {
    return this.#all.some(({ rank }) => rank === "error");
  }

  add(rank: Exclude<Rank, "error">, code: string, problem: Problem): void {
    this.#all.push({ rank, code, ...problem });
  }

  /** @throws the error, unless errors are collected. */
  fail(error: LlmctlError): void {
    if (this.policy !== "collect") throw error;
    this.#keep(error);
  }

  /** Notes an error about what this machine lacks, such as a model file. @throws it, where errors are thrown. */
  lack(error: LlmctlError): void {
    if (this.policy === "throw") throw error;
    this.#keep(error);
  }

  /** @returns the result of a step, or undefined for one that failed in a known way: its problems are findings then. */
  async settle<T>(step: () => T | Promise<T>): Promise<T | undefined> {
    try {
      return await step();
    } catch (error) {
      if (!(error instanceof LlmctlError)) throw error;
      this.fail(error);
      return undefined;
    }
  }

  #keep({ code, exit, problems }: LlmctlError): void {
    for (const problem of problems) this.#all.push({ rank: "error", code, exit, ...problem });
  }
}
