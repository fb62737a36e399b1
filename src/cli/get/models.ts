import { exitCodes } from "../../base/exit-codes.ts";
import { findPaths } from "../../base/files/paths.ts";
import { printableSentence } from "../../base/text/printable.ts";
import { maskAddress } from "../../base/text/secrets.ts";
import { formatSize } from "../../base/text/units.ts";
import { describeUrl } from "../../hub/find/describe-ref.ts";
import type { VerifyResult } from "../../models/model-event.ts";
import { listModels, sizeOnDisk, type ModelOnDisk } from "../../models/models-on-disk.ts";
import { verifyModels } from "../../models/verify-models.ts";
import { findLoadOptions } from "../options/context.ts";
import { interruptible } from "../screen/interruptible.ts";
import { jsonText } from "../screen/json-text.ts";
import { paint } from "../screen/paint.ts";
import { formatProblem } from "../screen/report-error.ts";
import { formatTable } from "../../base/text/table.ts";
import { TerminalReporter } from "../screen/pull-reporter.ts";
import { outputWidth, print, printError } from "../screen/print.ts";

/** `llmctl models`: lists the models that are on this machine. @returns the exit code. */
export async function modelsList({ json }: { readonly json: boolean }): Promise<number> {
  const paths = findPaths();
  const { models, problems } = await listModels(paths, findLoadOptions(paths));
  for (const problem of problems)
    printError(
      `${paint("yellow", "note:")} what this profile uses is not known: ${printableSentence(problem.message)}\n`,
    );
  print(json ? jsonText(models.map(toJson)) : formatModels(models, outputWidth()));
  return 0;
}

function toJson({ ref: _ref, hf, url, quant, commit, verifiedAt, ...model }: ModelOnDisk): Record<string, unknown> {
  return {
    hf: hf ?? null,
    url: url === undefined ? null : maskAddress(url),
    ...model,
    quant: quant ?? null,
    commit: commit ?? null,
    verifiedAt: verifiedAt ?? null,
    sizeBytes: sizeOnDisk(model),
  };
}

function formatModels(models: readonly ModelOnDisk[], width: number): string {
  if (models.length === 0) return "no models are here\n";
  const rows = models.map((model) => [
    model.hf ?? (model.url === undefined ? model.name : describeUrl(model.url)),
    model.quant ?? (model.hf === undefined ? "-" : model.name),
    `${formatSize(sizeOnDisk(model))}${describeMissing(model)}`,
    model.profiles.join(", ") || "-",
    model.verifiedAt?.slice(0, 10) ?? "no",
    model.source,
  ]);
  return formatTable(["MODEL", "QUANT", "SIZE", "PROFILES", "VERIFIED", "WHERE"], rows, width);
}

function describeMissing({ missing, shards }: ModelOnDisk): string {
  return missing === 0 ? "" : `, ${missing} of ${shards.length + missing} files missing`;
}

/**
 * `llmctl models verify`: reads models again and compares their content with their digests.
 * @param names Of profiles, or models as `OWNER/REPO`, `OWNER/REPO:QUANT` or an address; without names every model.
 * @returns the exit code.
 */
export async function modelsVerify(names: readonly string[]): Promise<number> {
  const paths = findPaths();
  const reporter = new TerminalReporter(process.stderr);
  const shared = { paths, load: findLoadOptions(paths), env: process.env };
  try {
    const isRight = await interruptible((signal) =>
      verifyModels(names, {
        ...shared,
        signal,
        onEvent: (event) => {
          reporter.show(event);
          if (event.kind === "verify-result") showResult(event);
        },
      }),
    );
    return isRight ? 0 : exitCodes.missingFile.code;
  } finally {
    reporter.clear();
  }
}

function showResult({ model, sizeBytes, outcome, problems }: VerifyResult): void {
  switch (outcome) {
    case "right":
      print(`${model}: ${formatSize(sizeBytes)}, all as it should be\n`);
      return;
    case "unknown":
      print(`${model}: not verified, its digests are not known\n`);
      return;
    case "damaged":
      printError(`${problems.map(formatProblem).join("\n")}\n`);
  }
}
