import { LlmctlError, type Problem } from "../../base/errors.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import type { FlagCatalogue } from "../ask/flag-catalogue.ts";
import { checkRawArgs, type RawFlag } from "./raw-args.ts";
import {
  leftOut,
  type RenderOutcome,
  type ModelPaths,
  type FlagRule,
  type RenderedFlag,
  type RenderInput,
} from "./flag-rule.ts";
import { flagTable } from "./flag-table.ts";

/** A profile in the flags of one build. */
export interface Rendering {
  /** In the order of the command line. */
  readonly flags: readonly RenderedFlag[];
  /** Keys that were left out, and why. */
  readonly notes: readonly { readonly key: string; readonly reason: string }[];
}

/** The command line of a rendering, without the program. */
export function commandLine(rendering: Rendering): string[] {
  return rendering.flags.flatMap(({ args }) => args);
}

/**
 * Renders a profile in the flags of the llama-server that the catalogue describes. Reads nothing and starts nothing;
 * the model files need not exist.
 * @throws LlmctlError `profile-unrenderable` with every key and raw flag that this build does not support, each at its
 *   place in the YAML.
 */
export function renderServer(profile: Profile, models: ModelPaths, catalogue: FlagCatalogue): Rendering {
  return render(profile, { program: "llama-server", values: profile.values, models, catalogue });
}

/**
 * As {@link renderServer}, in the flags of a llama-cli: the same model and the same drafting, for one person at a
 * terminal. Keys and raw flags for clients are left out with a note.
 */
export function renderCli(profile: Profile, models: ModelPaths, catalogue: FlagCatalogue): Rendering {
  return render(profile, { program: "llama-cli", values: profile.values, models, catalogue });
}

function render(profile: Profile, source: RenderInput): Rendering {
  const flags: RenderedFlag[] = [];
  const notes: { key: string; reason: string }[] = [];
  const problems: Problem[] = [];
  for (const rule of flagTable) {
    const outcome = renderRule(rule, source);
    const path = rule.key.split(".");
    if (outcome?.kind === "flags") {
      const { args, note } = outcome;
      flags.push({ key: rule.key, path, args, ...(note === undefined ? {} : { note }) });
    } else if (outcome?.kind === "left-out") {
      notes.push({ key: rule.key, reason: outcome.reason });
    } else if (outcome !== undefined) {
      problems.push({ message: outcome.message, fix: outcome.fix, at: profile.at(...path) });
    }
  }
  const raw = checkRawArgs(profile, source);
  failOn([...problems, ...raw.problems], profile);
  return { flags: [...flags, ...raw.flags.map(renderRaw)], notes: [...notes, ...raw.notes] };
}

function renderRule(rule: FlagRule, source: RenderInput): RenderOutcome | undefined {
  const outcome = rule.render(source);
  const unwanted = rule.serverOnly === true && source.program === "llama-cli" && outcome !== undefined;
  return unwanted ? leftOut("llama-cli serves no clients") : outcome;
}

function failOn(problems: readonly Problem[], profile: Profile): void {
  const [first, ...rest] = problems;
  if (first === undefined) return;
  const { message, at = profile.path, fix } = first;
  throw new LlmctlError(
    "profile-unrenderable",
    message,
    { exit: "config", at, ...(fix === undefined ? {} : { fix }) },
    rest,
  );
}

function renderRaw({ key, path, args }: RawFlag): RenderedFlag {
  return { key, path, args };
}
