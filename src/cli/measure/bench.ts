import { findPaths } from "../../base/files/paths.ts";
import { exitCodes } from "../../base/exit-codes.ts";
import type { Timing } from "../../bench/measurement.ts";
import { readPrompts } from "../../bench/prompts/read-prompts.ts";
import { compareReports } from "../../bench/report/compare-reports.ts";
import { describeComparison } from "../../bench/report/describe-comparison.ts";
import { describeResult } from "../../bench/report/describe-result.ts";
import { renderHtml } from "../../bench/report/render-html.ts";
import { readReport } from "../../bench/report/report-file.ts";
import { planPair, runBench } from "../../bench/run/run-bench.ts";
import { estimatePrompts } from "../../bench/statistics/estimate-ratio.ts";
import type { PlanSession } from "../../llama/plan/plan-session.ts";
import { openProfile } from "../options/context.ts";
import { jsonText } from "../screen/json-text.ts";
import { outputWidth, print } from "../screen/print.ts";
import { measuring } from "./measuring.ts";
import { publish } from "./publish.ts";

export interface BenchCommandOptions {
  readonly prompts: string | undefined;
  readonly against: string;
  readonly forMs: number;
  readonly concurrency: number | undefined;
  readonly tokens: number;
  readonly timing: Timing;
  readonly replace: readonly string[];
  readonly fresh: boolean;
  readonly report: string | undefined;
  readonly json: boolean;
}

/** `llmctl bench PROFILE`: does its draft pay? @returns the exit code. */
export async function bench(nameOrPath: string, options: BenchCommandOptions): Promise<number> {
  const paths = findPaths();
  const profile = await openProfile(nameOrPath, paths);
  const against = options.against === "none" ? undefined : await openProfile(options.against, paths);
  const asked = options.prompts === undefined ? undefined : await readPrompts(options.prompts);
  const plan = (session: PlanSession) => planPair({ profile, against, session });
  return measuring(
    { ...options, paths, plan, notes: asked?.notes ?? [] },
    async ({ clearScreen, forget, ...context }) => {
      const report = await runBench({
        ...context,
        profile,
        against,
        prompts: asked?.prompts,
        limitMs: options.forMs,
        concurrency: options.concurrency,
        maxTokens: options.tokens,
        timing: options.timing,
        wantsPrediction: options.report !== undefined,
      });
      clearScreen();
      await publish(report, {
        path: options.report,
        json: options.json,
        render: () => renderHtml(report),
        describe: (files) => describeResult(report, { width: outputWidth(), files }),
      });
      if (report.end === "interrupted") return exitCodes.interrupted.code;
      // A run that has shown nothing yet goes on with the next one.
      if (report.verdict.kind !== "unknown") await forget();
      return 0;
    },
  );
}

/** `llmctl bench --compare A.json B.json`. @returns 1 for a regression. */
export async function benchCompare([a, b]: readonly [string, string], json: boolean): Promise<number> {
  const comparison = compareReports(await readReport(a), await readReport(b), estimatePrompts);
  print(json ? jsonText(comparison) : describeComparison(comparison, outputWidth()));
  return comparison.isRegression ? exitCodes.failed.code : 0;
}
