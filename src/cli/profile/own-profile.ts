import { LlmctlError } from "../../base/errors.ts";
import { findPaths, type Paths } from "../../base/files/paths.ts";
import { printableLine } from "../../base/text/printable.ts";
import { findProfile, isShipped } from "../../profiles/find.ts";
import type { LoadOptions } from "../../profiles/load.ts";
import { quote } from "../../profiles/yaml/quote-value.ts";
import type { SourceText } from "../../profiles/yaml/located.ts";
import { findSupervisor } from "../../supervisor/state/find-supervisor.ts";
import { askFor, canAsk } from "../screen/ask.ts";
import { findLoadOptions } from "../options/context.ts";
import { paint } from "../screen/paint.ts";
import { extendProfile } from "./profile-new.ts";
import { printError } from "../screen/print.ts";

/** A profile that the user may change, and the options to check it. */
export interface OwnProfile {
  readonly source: SourceText;
  readonly paths: Paths;
  readonly load: LoadOptions;
}

/**
 * Finds the profile to change. A shipped profile is not changed: on a terminal, the user is offered an own profile of
 * the same name that extends it.
 * @throws LlmctlError `profile-shipped`, or as `findProfile`.
 */
export async function findOwnProfile(nameOrPath: string): Promise<OwnProfile> {
  const paths = findPaths();
  const load = findLoadOptions(paths);
  const source = await findProfile(nameOrPath, load.folders, process.cwd());
  if (!isShipped(source.path)) return { source, paths, load };
  const { name } = source;
  if (!canAsk() || !(await offerOwn(name))) {
    throw new LlmctlError(
      "profile-shipped",
      `profile ${quote(name)} is part of llmctl: an upgrade would undo a change`,
      {
        exit: "config",
        at: source.path,
        fix: {
          run: ["profile", "new", name, "--extends", name],
          after: "to make your own profile, and change that",
        },
      },
    );
  }
  const own = await extendProfile(name, paths, load);
  printError(`wrote ${printableLine(own.path)}\n`);
  return { source: own, paths, load };
}

async function offerOwn(name: string): Promise<boolean> {
  printError(`profile ${quote(name)} is part of llmctl. Make your own profile of the same name that extends it?\n`);
  return askFor("[Y]es or [n]o: ", readYes);
}

export function readYes(answer: string): boolean {
  if (/^(?:y|yes|)$/i.test(answer)) return true;
  if (/^(?:n|no)$/i.test(answer)) return false;
  throw new LlmctlError("usage", "the answer is neither yes nor no", { exit: "usage" });
}

/** Prints a note if a running server still has the old profile. */
export async function noteRunning({ source, paths }: OwnProfile): Promise<void> {
  if ((await findSupervisor(paths, source.name)) === undefined) return;
  const name = printableLine(source.name);
  const note = `"${name}" still runs with the old profile; "llmctl restart ${name}" applies the change`;
  printError(`${paint("yellow", "note:")} ${note}\n`);
}
