import { findPaths } from "../../base/files/paths.ts";
import { printableSentence } from "../../base/text/printable.ts";
import { formatSize } from "../../base/text/units.ts";
import { readHubSettings } from "../../hub/http/hub-settings.ts";
import type { ModelFiles } from "../../hub/find/model-files.ts";
import { modelLockFolder } from "../../hub/find/model-lock.ts";
import { describeMissingDigests } from "../../llama/plan/missing-digests.ts";
import { openProfiles } from "../options/context.ts";
import {
  fetchModels,
  planModels,
  type CompleteModel,
  type ModelsPlan,
  type PlannedModel,
} from "../../models/fetch-models.ts";
import { interruptible } from "../screen/interruptible.ts";
import { paint } from "../screen/paint.ts";
import {
  countFiles,
  describeFetch,
  describeNotFetched,
  JsonReporter,
  TerminalReporter,
  type PullReporter,
} from "./pull-reporter.ts";
import { noteNotFetched, toNotFetched, type SkippedDraft } from "../../models/unfit-drafts.ts";
import { settleModels } from "../../models/settle-models.ts";

interface PullCommandOptions {
  /** Only say what would be fetched. */
  readonly dryRun: boolean;
  /** Move on to the commits that the branches mean now. */
  readonly update: boolean;
  /** Read what another program has fetched. */
  readonly verify: boolean;
  /** Events for scripts, one JSON object a line. */
  readonly json: boolean;
  /** Bytes per second at most. */
  readonly limitRate?: number | undefined;
}

/**
 * Fetches what the profiles' target and draft models lack on disk, but for drafts whose headers say that they cannot
 * speed up their target. Ctrl-C keeps what came.
 * @returns the exit code.
 */
export async function pull(names: readonly string[], options: PullCommandOptions): Promise<number> {
  const paths = findPaths();
  const hub = readHubSettings(process.env);
  const profiles = await openProfiles(names, paths);
  const output = options.json ? jsonOutput() : textOutput();
  await interruptible(async (signal) => {
    const tellUnchecked = async () => {
      for (const { values } of profiles)
        for (const message of await describeMissingDigests(values, paths)) output.note(message);
    };
    const fetching = {
      paths,
      env: process.env,
      hub,
      signal,
      onEvent: output.reporter.show,
      update: options.update,
      limitRate: options.limitRate,
    };
    try {
      const plan = await planModels(profiles, fetching);
      if (options.dryRun) {
        output.showPlan(plan);
        return await tellUnchecked();
      }
      const models = await fetchModels(plan, fetching);
      for (const skipped of plan.skipped) await noteNotFetched(skipped, paths);
      await settleModels(models, {
        lockFolder: modelLockFolder(paths.state),
        onEvent: output.reporter.show,
        signal,
        verify: options.verify,
      });
      output.reporter.clear();
      output.showDone(models, plan.skipped);
      await tellUnchecked();
    } finally {
      output.reporter.clear();
    }
  });
  return 0;
}

interface Output {
  readonly reporter: PullReporter;
  readonly note: (message: string) => void;
  readonly showPlan: (plan: ModelsPlan) => void;
  readonly showDone: (models: readonly CompleteModel[], skipped: readonly SkippedDraft[]) => void;
}

function textOutput(): Output {
  const say = (line: string) => process.stdout.write(`${printableSentence(line)}\n`);
  const saySkipped = (skipped: readonly SkippedDraft[]) =>
    skipped.forEach((one) => say(describeNotFetched(toNotFetched(one))));
  return {
    reporter: new TerminalReporter(process.stderr),
    note: (message) => process.stdout.write(`${paint("yellow", "note:")} ${printableSentence(message)}\n`),
    showPlan: ({ models, skipped }) => {
      for (const model of models) for (const line of describePlanned(model)) say(line);
      saySkipped(skipped);
    },
    showDone: (models, skipped) => {
      for (const { label, files, wasFetched } of models)
        say(`${label}: ${describeFiles(files)}${wasFetched ? "" : ", nothing to fetch"}`);
      saySkipped(skipped);
    },
  };
}

function jsonOutput(): Output {
  const reporter = new JsonReporter((line) => process.stdout.write(line));
  const tellSkipped = (skipped: readonly SkippedDraft[]) => {
    for (const one of skipped) reporter.show({ kind: "not-fetched", ...toNotFetched(one) });
  };
  return {
    reporter,
    note: (message) => reporter.tell({ event: "note", message }),
    showPlan: ({ models, skipped }) => {
      reporter.show({ kind: "fetch-plan", plans: models.map(({ label, plan }) => ({ model: label, plan })) });
      tellSkipped(skipped);
    },
    showDone: (models, skipped) => {
      for (const { label, files } of models)
        reporter.tell({ event: "done", model: label, files: files.shards, source: files.source });
      tellSkipped(skipped);
    },
  };
}

function describePlanned({ label, plan }: PlannedModel): string[] {
  if (plan.kind === "complete") return [`${label}: ${describeFiles(plan.files)}, nothing to fetch`];
  const files = plan.files.map(({ name, sizeBytes, haveBytes }) => {
    const have = haveBytes === 0 ? "" : haveBytes === sizeBytes ? ", here" : `, ${formatSize(haveBytes)} here`;
    return `  ${name}  ${formatSize(sizeBytes)}${have}`;
  });
  return [`${label}: ${describeFetch(plan)}`, ...files];
}

function describeFiles({ shards, source }: ModelFiles): string {
  const totalBytes = shards.reduce((sum, shard) => sum + shard.sizeBytes, 0);
  return `${source}, ${formatSize(totalBytes)} in ${countFiles(shards.length)}`;
}
