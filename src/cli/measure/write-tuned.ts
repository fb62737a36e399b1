import { basename } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { LlmctlError } from "../../base/errors.ts";
import type { Paths } from "../../base/files/paths.ts";
import { diffText } from "../../base/text/diff-text.ts";
import { printable } from "../../base/text/printable.ts";
import { createProfile, replaceText } from "../../profiles/change-profile.ts";
import { findProfile, isShipped } from "../../profiles/find.ts";
import { loadProfile, type LoadOptions } from "../../profiles/load.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import { type DraftKeys, planTunedDraft, tunedComment } from "../../profiles/tuned-draft.ts";
import type { SourceText } from "../../profiles/yaml/located.ts";
import { quote } from "../../profiles/yaml/quote-value.ts";
import { noteRunning } from "../profile/own-profile.ts";
import { planExtension } from "../profile/profile-new.ts";
import { askFor, canAsk } from "../screen/ask.ts";
import { print, printError } from "../screen/print.ts";
import { readYes } from "../profile/own-profile.ts";

interface WriteOptions {
  readonly paths: Paths;
  readonly load: LoadOptions;
  /** The profile as it was measured. */
  readonly measured: Profile;
  /** Undefined: drafting does not pay. */
  readonly draft: DraftKeys | undefined;
  readonly build: string;
  /** Such as `1.31 × (1.24 to 1.38) against no draft`. */
  readonly result: string;
  readonly yes: boolean;
  readonly dryRun: boolean;
}

/**
 * Shows what a profile would be with the result of a search, asks, and writes it. A shipped profile gets an own one
 * that extends it.
 * @throws LlmctlError `profile-changed` for a profile that is another one by now; as `planTunedDraft`, `replaceText`
 *   and `createProfile`.
 */
export async function writeTuned(nameOrPath: string, options: WriteOptions): Promise<void> {
  const { paths, load, measured, draft, build, result, yes, dryRun } = options;
  const found = await findProfile(nameOrPath, load.folders, process.cwd());
  const present = await loadProfile(nameOrPath, load);
  if (present.path !== measured.path || !isDeepStrictEqual(present.values, measured.values)) throw changedSince(found);
  const target: { source: SourceText; text?: string } = isShipped(found.path)
    ? await planExtension(found.name, paths)
    : { source: found };
  const { source, text } = target;
  const wanted = {
    draft,
    comment: tunedComment(new Date(), build, result),
    ...(text === undefined ? {} : { from: text }),
  };
  const { before, after } = await planTunedDraft(source, wanted, load);
  const diff = diffText(basename(source.path), text === undefined ? before : "", after);
  if (diff === "") return print(`${source.shown} says this already\n`);
  print(`\n${printable(diff)}`);
  if (dryRun) return;
  if (!yes && !(await confirm(source.shown))) return;
  if (text === undefined) await replaceText(source, before, after);
  else await createProfile(source, after, load);
  print(`wrote ${source.shown}\n`);
  await noteRunning({ source, paths, load });
}

/** A search takes minutes to hours. */
function changedSince({ name, path }: SourceText): LlmctlError {
  return new LlmctlError("profile-changed", `profile ${quote(name)} was changed since the search began`, {
    exit: "busy",
    at: path,
    fix: { before: "run", run: ["tune", name], after: "again: what still holds is not measured twice" },
  });
}

async function confirm(shown: string): Promise<boolean> {
  if (!canAsk()) {
    printError("nothing was written: there is no terminal to ask on; add --yes\n");
    return false;
  }
  return askFor(`write this to ${shown}? [Y]es or [n]o: `, readYes);
}
