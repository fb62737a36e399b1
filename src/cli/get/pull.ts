import { findPaths } from "../../base/files/paths.ts";
import { printableSentence } from "../../base/text/printable.ts";
import { formatSize } from "../../base/text/units.ts";
import type { ModelFiles } from "../../hub/find/model-files.ts";
import { readHubSettings } from "../../hub/http/hub-settings.ts";
import { planModels, type ModelsPlan, type PlannedRequest } from "../../models/plan-models.ts";
import { noteMissingDigests, pullModels, type PulledModels } from "../../models/pull-models.ts";
import { toNotFetched, type UnfitDraft } from "../../models/unfit-drafts.ts";
import { openProfiles } from "../options/context.ts";
import { interruptible } from "../screen/interruptible.ts";
import { paint } from "../screen/paint.ts";
import {
  countFiles,
  describeFetch,
  describeNotFetched,
  JsonReporter,
  TerminalReporter,
  type PullReporter,
} from "../screen/pull-reporter.ts";
import { print } from "../screen/print.ts";

interface PullCommandOptions {
  /** Only say what would be fetched. */
  readonly dryRun: boolean;
  /** Move on to the commits that the branches have now. */
  readonly update: boolean;
  /** Read the content of files that another program has fetched. */
  readonly verify: boolean;
  /** Print events for scripts, one JSON object a line. */
  readonly json: boolean;
  /** Bytes per second at most. */
  readonly limitRate?: number | undefined;
}

/**
 * `llmctl pull`: fetches the files that the models of profiles lack, except drafts whose headers say that they cannot
 * speed up their target. Ctrl-C keeps what was fetched.
 * @returns the exit code.
 */
export async function pull(names: readonly string[], options: PullCommandOptions): Promise<number> {
  const { dryRun, json, ...pulling } = options;
  const paths = findPaths();
  const hub = readHubSettings(process.env);
  const profiles = await openProfiles(names, paths);
  const output = json ? jsonOutput() : textOutput();
  await interruptible(async (signal) => {
    const shared = { ...pulling, paths, env: process.env, hub, signal, onEvent: output.reporter.show };
    try {
      if (dryRun) output.showPlan(await planModels(profiles, shared));
      else output.showDone(await pullModels(profiles, shared));
      for (const note of await noteMissingDigests(profiles, shared)) output.note(note);
    } finally {
      output.reporter.clear();
    }
  });
  return 0;
}

interface PullOutput {
  readonly reporter: PullReporter;
  readonly note: (message: string) => void;
  readonly showPlan: (plan: ModelsPlan) => void;
  readonly showDone: (pulled: PulledModels) => void;
}

function textOutput(): PullOutput {
  const reporter = new TerminalReporter(process.stderr);
  const say = (line: string) => print(`${printableSentence(line)}\n`);
  const sayUnfit = (unfit: readonly UnfitDraft[]) => unfit.forEach((one) => say(describeNotFetched(toNotFetched(one))));
  return {
    reporter,
    note: (message) => print(`${paint("yellow", "note:")} ${printableSentence(message)}\n`),
    showPlan: ({ requests, unfit }) => {
      for (const request of requests) for (const line of describePlanned(request)) say(line);
      sayUnfit(unfit);
    },
    showDone: ({ fulfilled, unfit }) => {
      reporter.clear();
      for (const { label, files, wasFetched } of fulfilled)
        say(`${label}: ${describeFiles(files)}${wasFetched ? "" : ", nothing to fetch"}`);
      sayUnfit(unfit);
    },
  };
}

function jsonOutput(): PullOutput {
  const reporter = new JsonReporter(print);
  const tellUnfit = (unfit: readonly UnfitDraft[]) => {
    for (const one of unfit) reporter.show({ kind: "not-fetched", ...toNotFetched(one) });
  };
  return {
    reporter,
    note: (message) => reporter.tell({ event: "note", message }),
    showPlan: ({ requests, unfit }) => {
      reporter.show({ kind: "fetch-plan", plans: requests.map(({ label, plan }) => ({ model: label, plan })) });
      tellUnfit(unfit);
    },
    showDone: ({ fulfilled, unfit }) => {
      for (const { label, files } of fulfilled)
        reporter.tell({ event: "done", model: label, files: files.shards, source: files.source });
      tellUnfit(unfit);
    },
  };
}

function describePlanned({ label, plan }: PlannedRequest): string[] {
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
