import { isAbsolute, resolve } from "node:path";
import { exitCodes } from "../../base/exit-codes.ts";
import { findPaths } from "../../base/files/paths.ts";
import type { Timing } from "../../bench/measurement.ts";
import { readPrompts } from "../../bench/prompts/read-prompts.ts";
import { describeTune } from "../../bench/report/describe-tune.ts";
import { renderTuneHtml } from "../../bench/report/render-tune-html.ts";
import { formatEstimate } from "../../bench/number-words.ts";
import type { TuneResult } from "../../bench/tune/report-tune.ts";
import { planSetting } from "../../bench/servers/plan-setting.ts";
import { runTune } from "../../bench/tune/run-tune.ts";
import type { PlanSession } from "../../llama/plan/plan-session.ts";
import { ensureModels } from "../../models/ensure-models.ts";
import type { ModelRef, Profile } from "../../profiles/schema/schema.ts";
import { createHubAccess } from "../look/header-access.ts";
import { findLoadOptions, openProfile } from "../options/context.ts";
import { parseModelArgument } from "../options/model-argument.ts";
import { outputWidth } from "../screen/print.ts";
import { TerminalReporter } from "../screen/pull-reporter.ts";
import { measuring } from "./measuring.ts";
import { publish } from "./publish.ts";
import { writeTuned } from "./write-tuned.ts";

export interface TuneCommandOptions {
  /** Draft models beyond the profile's own: paths, addresses or `hf:` references. */
  readonly draft: readonly string[];
  readonly prompts: string | undefined;
  readonly forMs: number;
  readonly concurrency: number | undefined;
  readonly tokens: number;
  readonly timing: Timing;
  readonly replace: readonly string[];
  readonly fresh: boolean;
  readonly report: string | undefined;
  readonly json: boolean;
  /** Write the result without asking. */
  readonly yes: boolean;
  /** Only show what would be written. */
  readonly dryRun: boolean;
}

/** `llmctl tune PROFILE`: the way of drafting that makes it fastest. @returns the exit code. */
export async function tune(nameOrPath: string, options: TuneCommandOptions): Promise<number> {
  const paths = findPaths();
  const profile = await openProfile(nameOrPath, paths);
  const drafts = options.draft.map(toModelRef);
  const asked = options.prompts === undefined ? undefined : await readPrompts(options.prompts);
  const plan = (session: PlanSession) => planSetting(profile, undefined, { label: "none", session });
  return measuring(
    { ...options, paths, plan, notes: asked?.notes ?? [] },
    async ({ clearScreen, forget: _, ...context }) => {
      const { signal } = context;
      const models = new TerminalReporter(process.stderr, () => undefined);
      const result = await runTune({
        ...context,
        profile,
        drafts,
        prompts: asked?.prompts,
        limitMs: options.forMs,
        concurrency: options.concurrency,
        maxTokens: options.tokens,
        timing: options.timing,
        access: { ...createHubAccess(), signal },
        ensureModels: async (drafted) => {
          const fetching = { paths, env: process.env, fetch: true, verify: true, signal, onEvent: models.show };
          await ensureModels(drafted, fetching).finally(() => models.clear());
        },
      });
      clearScreen();
      const { report } = result;
      await publish(report, {
        path: options.report,
        json: options.json,
        render: () => renderTuneHtml(report),
        describe: (files) => describeTune(report, { width: outputWidth(), files }),
      });
      if (report.end === "interrupted") return exitCodes.interrupted.code;
      if (report.winner !== null && !options.json) await offer(nameOrPath, { ...result, profile }, options);
      return 0;
    },
  );
}

function toModelRef(text: string): ModelRef {
  const place = parseModelArgument(text);
  if (place instanceof URL) return { url: place.href };
  return typeof place === "string" && !isAbsolute(place) ? resolve(place) : place;
}

/** Writes the winner, or takes the draft away where drafting does not pay. */
async function offer(
  nameOrPath: string,
  { report, profile, winner: { finalist, verdict } }: TuneResult & { readonly profile: Profile },
  { yes, dryRun }: TuneCommandOptions,
): Promise<void> {
  const paths = findPaths();
  const { estimate } = verdict;
  const measured = estimate === undefined ? "by computing" : formatEstimate(estimate);
  await writeTuned(nameOrPath, {
    paths,
    load: findLoadOptions(paths),
    measured: profile,
    draft: finalist?.draft,
    // A binary that the profile names is called by its path.
    build: report.build.replace(/^\/.*?: /, ""),
    result: finalist === undefined ? `drafting does not pay: ${measured}` : `${measured} against no draft`,
    yes,
    dryRun,
  });
}
