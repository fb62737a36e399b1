import { createInterface } from "node:readline/promises";
import { LlmctlError } from "../../base/errors.ts";
import { findPaths } from "../../base/files/paths.ts";
import { formatSize } from "../../base/text/units.ts";
import type { PrunePlan } from "../../hub/keep/prune-cache.ts";
import { labelOnDisk, sizeOnDisk } from "../../models/models-on-disk.ts";
import { planModelPrune, pruneModels } from "../../models/prune-models.ts";
import { findLoadOptions } from "../options/context.ts";
import { forLineEditor } from "../screen/guard-output.ts";
import { interruptible } from "../screen/interruptible.ts";
import { print } from "../screen/print.ts";

/**
 * `llmctl models prune`: shows the fetched models that no profile uses, asks, and deletes them.
 * @returns the exit code.
 */
export async function modelsPrune({ yes }: { readonly yes: boolean }): Promise<number> {
  const paths = findPaths();
  const plan = await planModelPrune(paths, findLoadOptions(paths));
  print(describePrune(plan));
  if (plan.models.length === 0) return 0;
  if (!yes && !(await confirm())) return 0;
  await interruptible((signal) => pruneModels(plan, paths, signal));
  print(`freed ${formatSize(plan.freedBytes)}\n`);
  return 0;
}

function describePrune({ models, held, freedBytes }: PrunePlan): string {
  const lines = models.map((model) => {
    const commit = model.of === undefined ? "" : `  commit ${model.of.commit.slice(0, 8)}`;
    return `${labelUnused(model)}  ${formatSize(sizeOnDisk(model))}${commit}`;
  });
  const kept = held.map((model) => `${labelUnused(model)} stays: another process uses it`);
  const total =
    models.length === 0
      ? "nothing to delete: profiles use all that is here"
      : `no profile uses these; deleting them frees ${formatSize(freedBytes)}`;
  return `${[...kept, ...lines, total].join("\n")}\n`;
}

function labelUnused({ of, quant, name }: PrunePlan["models"][number]): string {
  return labelOnDisk({ hf: of?.hf, url: undefined, quant, name });
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
