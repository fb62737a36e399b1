import { findPaths } from "../base/paths.ts";
import { formatDuration, formatSize } from "../base/units.ts";
import { findModel, type FindOptions } from "../hub/find-model.ts";
import { readHubSettings } from "../hub/hub-settings.ts";
import type { ModelFiles } from "../hub/model-files.ts";
import { planPull, pullModel, type PullEvent, type PullOptions, type PullPlan } from "../hub/pull-model.ts";
import { describeRef } from "../hub/select-files.ts";
import type { ModelRef, Profile } from "../profiles/schema.ts";
import { openProfile } from "./context.ts";
import { paint } from "./paint.ts";
import { findSkippedDrafts, sayNotFetched, type SkippedDraft } from "./skip-drafts.ts";
import { ProgressLine } from "./progress.ts";

interface PullCommandOptions {
  /** Only say what would be fetched. */
  readonly dryRun: boolean;
  /** Bytes per second at most. */
  readonly limitRate?: number | undefined;
}

/**
 * Fetches what the profiles' target and draft models lack on disk, but for drafts whose headers say that they cannot speed up their target.
 * Ctrl-C keeps what came.
 * @returns the exit code.
 */
export async function pull(names: readonly string[], { dryRun, limitRate }: PullCommandOptions): Promise<number> {
  const paths = findPaths();
  const hub = readHubSettings(process.env);
  const profiles = await Promise.all(names.map((name) => openProfile(name, paths)));
  const reporter = createReporter(process.stderr);
  const interrupt = new AbortController();
  const onInterrupt = () => interrupt.abort();
  process.once("SIGINT", onInterrupt);
  try {
    const access = { hub, signal: interrupt.signal, onProgress: reporter.onProgress };
    const skipped = await findSkippedDrafts(profiles, access, paths);
    for (const { ref, ...where } of listWanted(profiles, skipped)) {
      const options = { ...where, ...access, hubCache: paths.hub, limitRate };
      await (dryRun ? showPlan(ref, options) : fetchOne(ref, options));
    }
    for (const draft of skipped) await sayNotFetched(draft, paths, dryRun);
  } finally {
    reporter.clear();
    process.removeListener("SIGINT", onInterrupt);
  }
  return 0;
}

type Wanted = { readonly ref: ModelRef } & Pick<FindOptions, "modelDirs" | "profile" | "at">;

/** Every model that the profiles name, once. */
function listWanted(profiles: readonly Profile[], skipped: readonly SkippedDraft[]): readonly Wanted[] {
  const wanted = profiles.flatMap((profile): Wanted[] => {
    const { name, values, at } = profile;
    const shared = { modelDirs: values.model_dirs, profile: name };
    const target = { ref: values.model, at: at("model"), ...shared };
    const draft = skipped.some((one) => one.profile === profile) ? undefined : values.draft?.model;
    return draft === undefined ? [target] : [target, { ref: draft, at: at("draft", "model"), ...shared }];
  });
  const byContent = new Map(wanted.toReversed().map((one) => [JSON.stringify([one.ref, one.modelDirs]), one]));
  return [...byContent.values()].toReversed();
}

async function fetchOne(ref: ModelRef, options: PullOptions): Promise<void> {
  const files = typeof ref === "string" ? await findModel(ref, options) : await pullModel(ref, options);
  process.stdout.write(`${describeFiles(ref, files)}${typeof ref === "string" ? ", nothing to fetch" : ""}\n`);
}

async function showPlan(ref: ModelRef, options: PullOptions): Promise<void> {
  if (typeof ref === "string") return fetchOne(ref, options);
  const plan = await planPull(ref, options);
  if (plan.kind === "complete") {
    process.stdout.write(`${describeFiles(ref, plan.files)}, nothing to fetch\n`);
    return;
  }
  process.stdout.write(`${describeRef(ref)}: ${describeFetch(plan)}\n`);
  for (const { name, sizeBytes, haveBytes } of plan.files) {
    const have = haveBytes === 0 ? "" : haveBytes === sizeBytes ? ", here" : `, ${formatSize(haveBytes)} here`;
    process.stdout.write(`  ${name}  ${formatSize(sizeBytes)}${have}\n`);
  }
}

function describeFetch({ commit, files, missingBytes }: PullPlan & { kind: "fetch" }): string {
  const totalBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  return `${formatSize(missingBytes)} of ${formatSize(totalBytes)} to fetch, ${countFiles(files.length)}, commit ${commit.slice(0, 8)}`;
}

function describeFiles(ref: ModelRef, { shards, source }: ModelFiles): string {
  const totalBytes = shards.reduce((sum, shard) => sum + shard.sizeBytes, 0);
  const name = typeof ref === "string" ? `"${ref}"` : describeRef(ref);
  return `${name}: ${source}, ${formatSize(totalBytes)} in ${countFiles(shards.length)}`;
}

function countFiles(count: number): string {
  return count === 1 ? "1 file" : `${count} files`;
}

/** Chunks come thousands of times a second; the eye and the rate need a few of them. */
const sampleMs = 50;

/** Shows a pull as it goes: a line for the file that moves, and lasting lines for what happened. */
function createReporter(stream: NodeJS.WriteStream): Pick<PullOptions, "onProgress"> & { clear: () => void } {
  let line: { readonly file: string; readonly shown: ProgressLine } | undefined;
  let sampledMs = 0;
  const clear = () => line?.shown.clear();
  const say = (text: string) => {
    clear();
    stream.write(`${text}\n`);
  };
  const onBytes = ({ file, doneBytes, sizeBytes }: PullEvent & { kind: "bytes" }) => {
    const nowMs = performance.now();
    if (line?.file === file && nowMs - sampledMs < sampleMs) return;
    sampledMs = nowMs;
    if (line?.file !== file) line = { file, shown: new ProgressLine({ label: file, total: sizeBytes, unit: formatSize, stream }) };
    line.shown.update(doneBytes);
  };
  const onProgress = (event: PullEvent) => {
    switch (event.kind) {
      case "plan":
        if (event.plan.kind === "fetch") say(describeFetch(event.plan));
        return;
      case "bytes":
        return onBytes(event);
      case "waiting":
        return say(`${event.file}: another process is fetching it, waiting for that`);
      case "retry":
        return say(paint("yellow", `${event.reason}; trying again in ${formatDuration(event.delayMs)}`, stream));
      case "file-done":
        return say(`${event.file}  ${formatSize(event.sizeBytes)}, verified`);
    }
  };
  return { onProgress, clear };
}
