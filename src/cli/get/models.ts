import { createInterface } from "node:readline/promises";
import { exitCodes } from "../../base/exit-codes.ts";
import { LlmctlError } from "../../base/errors.ts";
import { findPaths, type Paths } from "../../base/files/paths.ts";
import { printableName, printableSentence } from "../../base/text/printable.ts";
import { maskAddress } from "../../base/text/secrets.ts";
import { formatSize } from "../../base/text/units.ts";
import { askIdentity } from "../../hub/keep/ask-identity.ts";
import { describeUrl } from "../../hub/find/describe-ref.ts";
import { urlModelFolder } from "../../hub/find/find-model.ts";
import { readHubSettings } from "../../hub/http/hub-settings.ts";
import { modelLockFolder, writeModelLock, type ModelLock } from "../../hub/find/model-lock.ts";
import { planPrune, prune, type PrunePlan } from "../../hub/keep/prune-cache.ts";
import { expectFiles, findKnown, verifyFiles } from "../../hub/keep/verify-model.ts";
import { forLineEditor } from "../screen/guard-output.ts";
import { interruptible } from "../screen/interruptible.ts";
import { jsonText } from "../screen/json-text.ts";
import { listKnownModels, listUsedPaths, readAllProfiles, type KnownModel } from "../../models/models-on-disk.ts";
import { paint } from "../screen/paint.ts";
import { TerminalReporter } from "./pull-reporter.ts";
import { formatProblem } from "../screen/report-error.ts";
import { formatTable } from "../screen/table.ts";

/** Lists the models that are here. */
export async function modelsList({ json }: { readonly json: boolean }): Promise<number> {
  const paths = findPaths();
  const { profiles, problems } = await readAllProfiles(paths);
  for (const problem of problems)
    process.stderr.write(
      `${paint("yellow", "note:")} what this profile uses is not known: ${printableSentence(problem.message)}\n`,
    );
  const models = await listKnownModels(profiles, paths);
  process.stdout.write(json ? jsonText(models.map(toJson)) : formatModels(models, process.stdout.columns ?? Infinity));
  return 0;
}

function toJson({ ref: _ref, hf, url, quant, commit, verifiedAt, ...model }: KnownModel): Record<string, unknown> {
  return {
    hf: hf ?? null,
    url: url === undefined ? null : maskAddress(url),
    ...model,
    quant: quant ?? null,
    commit: commit ?? null,
    verifiedAt: verifiedAt ?? null,
    sizeBytes: sizeOf(model),
  };
}

function formatModels(models: readonly KnownModel[], width: number): string {
  if (models.length === 0) return "no models are here\n";
  const rows = models.map((model) => [
    model.hf ?? (model.url === undefined ? model.name : describeUrl(model.url)),
    model.quant ?? (model.hf === undefined ? "-" : model.name),
    `${formatSize(sizeOf(model))}${model.missing === 0 ? "" : `, ${model.missing} of ${model.shards.length + model.missing} files missing`}`,
    model.profiles.join(", ") || "-",
    model.verifiedAt?.slice(0, 10) ?? "no",
    model.source,
  ]);
  return formatTable(["MODEL", "QUANT", "SIZE", "PROFILES", "VERIFIED", "WHERE"], rows, width);
}

function sizeOf({ shards }: Pick<KnownModel, "shards">): number {
  return shards.reduce((sum, shard) => sum + shard.sizeBytes, 0);
}

/** `OWNER/REPO (QUANT)`, or an address. */
function nameOf({ hf, url, quant, name }: Pick<KnownModel, "hf" | "url" | "quant" | "name">): string {
  if (hf === undefined) return `"${printableName(url === undefined ? name : describeUrl(url))}"`;
  return `"${printableName(hf)}" (${printableName(quant ?? name)})`;
}

/**
 * Reads models again and compares their content with their digests; without names all that are here.
 * @param names Of profiles, or models as `OWNER/REPO`, `OWNER/REPO:QUANT` or an address.
 * @returns the exit code.
 */
export async function modelsVerify(names: readonly string[]): Promise<number> {
  const paths = findPaths();
  const { profiles } = await readAllProfiles(paths);
  const models = selectModels(await listKnownModels(profiles, paths), names);
  const reporter = new TerminalReporter(process.stderr);
  let isGood = true;
  await interruptible(async (signal) => {
    for (const model of models) {
      const { isRight, text } = await verifyOne(model, { paths, reporter, signal });
      reporter.clear();
      isGood &&= isRight;
      (isRight ? process.stdout : process.stderr).write(`${text}\n`);
    }
  });
  return isGood ? 0 : exitCodes.missingFile.code;
}

function selectModels(models: readonly KnownModel[], names: readonly string[]): readonly KnownModel[] {
  if (names.length === 0) return models;
  return names.flatMap((name) => {
    const found = models.filter(
      ({ hf, url, quant, profiles }) =>
        profiles.includes(name) ||
        (hf === undefined ? maskAddress(name) === maskAddress(url ?? "") : name === hf || name === `${hf}:${quant}`),
    );
    if (found.length > 0) return found;
    throw new LlmctlError("model-unknown", `no model of "${maskAddress(name)}" is here`, {
      exit: "missingFile",
      fix: { before: "see", run: ["models"], after: "for what is here" },
    });
  });
}

interface VerifyContext {
  readonly paths: Paths;
  readonly reporter: TerminalReporter;
  readonly signal: AbortSignal;
}

async function verifyOne(
  model: KnownModel,
  context: VerifyContext,
): Promise<{ readonly isRight: boolean; readonly text: string }> {
  const { paths, reporter, signal } = context;
  const lockFolder = modelLockFolder(paths.state);
  const lock = await findLock(model, context);
  const expected = await expectFiles({ shards: model.shards, source: model.source }, lock);
  if (expected === undefined)
    return { isRight: true, text: `${nameOf(model)}: not verified, its digests are not known` };
  reporter.show({ kind: "verify-plan", files: expected });
  try {
    await verifyFiles(
      expected.map((file) => ({ ...file, profile: model.profiles[0] })),
      { lockFolder, signal, onProgress: (event) => reporter.show({ ...event, model: event.file }), again: true },
    );
  } catch (error) {
    reporter.clear();
    if (signal.aborted)
      throw new LlmctlError("interrupted", "the look at the models' content was interrupted", { exit: "interrupted" });
    if (!(error instanceof LlmctlError)) throw error;
    return { isRight: false, text: error.problems.map(formatProblem).join("\n") };
  }
  if (model.ref !== undefined && lock !== undefined) await writeModelLock(lockFolder, model.ref, lock);
  return { isRight: true, text: `${nameOf(model)}: ${formatSize(sizeOf(model))}, all as it should be` };
}

/** What the profile is locked to; else, where nothing on disk tells what the files are, what the Hub says. */
async function findLock(
  { ref, shards, source }: KnownModel,
  { paths, reporter, signal }: VerifyContext,
): Promise<ModelLock | undefined> {
  if (ref === undefined) return undefined;
  const known = await findKnown(ref, { shards, source }, modelLockFolder(paths.state));
  const hub = readHubSettings(process.env);
  if (known !== undefined || hub.offline || "url" in ref) return known;
  return askIdentity(
    ref,
    { shards, source },
    { hub, signal, onProgress: (event) => reporter.show({ ...event, model: "" }) },
  );
}

/**
 * Deletes models of the Hugging Face cache and from addresses that no profile uses, after having shown them and asked.
 * @returns the exit code.
 */
export async function modelsPrune({ yes }: { readonly yes: boolean }): Promise<number> {
  const paths = findPaths();
  const { profiles, problems } = await readAllProfiles(paths);
  if (problems[0] !== undefined) {
    const fix = "put that profile right, or remove it: what it uses is not known";
    throw new LlmctlError(problems[0].code, problems[0].message, {
      exit: problems[0].exit,
      ...(problems[0].at === undefined ? {} : { at: problems[0].at }),
      fix,
    });
  }
  const folders = { hubCache: paths.hub, urlFolder: urlModelFolder(paths) };
  const plan = await planPrune(folders, await listUsedPaths(profiles, paths));
  process.stdout.write(describePrune(plan));
  if (plan.models.length === 0) return 0;
  if (!yes && !(await confirm())) return 0;
  await interruptible((signal) => prune(plan, folders, signal));
  process.stdout.write(`freed ${formatSize(plan.freedBytes)}\n`);
  return 0;
}

function describePrune({ models, held, freedBytes }: PrunePlan): string {
  const lines = models.map((model) => {
    const commit = model.of === undefined ? "" : `  commit ${model.of.commit.slice(0, 8)}`;
    return `${nameOfCached(model)}  ${formatSize(sizeOf(model))}${commit}`;
  });
  const kept = held.map((model) => `${nameOfCached(model)} stays: another process uses it`);
  const total =
    models.length === 0
      ? "nothing to delete: profiles use all that is here"
      : `no profile uses these; deleting them frees ${formatSize(freedBytes)}`;
  return `${[...kept, ...lines, total].join("\n")}\n`;
}

function nameOfCached({ of, quant, name }: PrunePlan["models"][number]): string {
  return nameOf({ hf: of?.hf, url: undefined, quant, name });
}

async function confirm(): Promise<boolean> {
  if (!process.stdin.isTTY) {
    throw new LlmctlError("not-confirmed", "nothing was deleted: there is no terminal to ask on", {
      exit: "usage",
      fix: "give --yes",
    });
  }
  const terminal = createInterface({ input: process.stdin, output: forLineEditor(process.stdout) });
  try {
    return /^y(es)?$/i.test((await terminal.question("delete them? [y/N] ")).trim());
  } finally {
    terminal.close();
  }
}
