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

/** A profile that may be changed, and what is needed to check it. */
export interface OwnProfile {
  readonly source: SourceText;
  readonly paths: Paths;
  readonly load: LoadOptions;
}

/**
 * Finds the profile to be changed. One of the package's is not: on a terminal, a profile of the user's own of the same
 * name is offered instead, which extends it.
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
      `profile ${quote(name)} is part of llmctl, whose next version would undo a change`,
      {
        exit: "config",
        at: source.path,
        fix: {
          run: ["profile", "new", name, "--extends", name],
          after: ", which makes one of your own, and change that",
        },
      },
    );
  }
  const own = await extendProfile(name, paths, load);
  process.stderr.write(`wrote ${printableLine(own.path)}\n`);
  return { source: own, paths, load };
}

async function offerOwn(name: string): Promise<boolean> {
  process.stderr.write(
    `profile ${quote(name)} is part of llmctl. Make one of your own of the same name, which extends it?\n`,
  );
  return askFor("[Y]es or [n]o: ", readYes);
}

function readYes(answer: string): boolean {
  if (/^(?:y|yes|)$/i.test(answer)) return true;
  if (/^(?:n|no)$/i.test(answer)) return false;
  throw new LlmctlError("usage", "that is neither yes nor no", { exit: "usage" });
}

/** Says that a running server does not know of the change yet. */
export async function noteRunning({ source, paths }: OwnProfile): Promise<void> {
  if ((await findSupervisor(paths, source.name)) === undefined) return;
  process.stderr.write(
    `${paint("yellow", "note:")} "${printableLine(source.name)}" runs as it was; "llmctl restart ${printableLine(source.name)}" takes up the change\n`,
  );
}
