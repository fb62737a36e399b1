import { LlmctlError, type Problem } from "../../base/errors.ts";
import type { ExitName } from "../../base/exit-codes.ts";

/**
 * - `error`: a start would fail, or `llmctl up` would refuse it
 * - `warning`: it starts, but not as the profile wants it
 * - `note`: good to know
 */
export type Rank = "error" | "warning" | "note";

export const ranks: readonly Rank[] = ["error", "warning", "note"];

/** One result of a check. */
export interface Finding extends Problem {
  readonly rank: Rank;
  /** Stable, kebab-case; the `code` of the error that a start would end with. */
  readonly code: string;
  /** With which exit code a start would end; only of errors. */
  readonly exit?: ExitName;
}

/** Collects what is found about one profile: a failed step is a finding, and the steps that do not need it go on. */
export class Findings {
  readonly #all: Finding[] = [];

  /** Errors first; each rank in the order of finding. */
  get ranked(): readonly Finding[] {
    return ranks.flatMap((rank) => this.#all.filter((finding) => finding.rank === rank));
  }

  add(rank: Rank, code: string, problem: Problem): void {
    this.#all.push({ rank, code, ...problem });
  }

  fail(error: LlmctlError): void {
    for (const problem of error.problems)
      this.#all.push({ rank: "error", code: error.code, exit: error.exit, ...problem });
  }

  /** What a step yields, or undefined when it has failed in a known way; its problems are noted then. */
  async settle<T>(step: () => T | Promise<T>): Promise<T | undefined> {
    try {
      return await step();
    } catch (error) {
      if (!(error instanceof LlmctlError)) throw error;
      this.fail(error);
      return undefined;
    }
  }
}
