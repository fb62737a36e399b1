import { readdirSync } from "node:fs";
import { join } from "node:path";
import { LlmctlError } from "../../src/base/errors.ts";
import { describeFix } from "../../src/base/fix.ts";
import type { FlagCatalogue } from "../../src/llama/ask/flag-catalogue.ts";
import { renderCli, type Rendering, renderServer } from "../../src/llama/render/render-command.ts";
import { loadProfile } from "../../src/profiles/load.ts";
import type { Profile } from "../../src/profiles/schema/schema.ts";

const folder = join(import.meta.dirname, "../../profiles");

export const shippedProfiles = readdirSync(folder).map((file) => file.replace(/\.yaml$/, ""));

export const shippedPrograms = ["llama-server", "llama-cli"] as const;

/** The plan of a shipped profile with its models on disk. */
export interface ShippedPlan {
  readonly profile: Profile;
  /** Undefined when this build does not support the profile. */
  readonly rendering: Rendering | undefined;
  /** For the committed snapshot: each flag with its key, the keys that were left out, and the refusals. */
  readonly text: string;
}

export async function planShipped(
  name: string,
  program: (typeof shippedPrograms)[number],
  catalogue: FlagCatalogue,
): Promise<ShippedPlan> {
  const profile = await loadProfile(name, { folders: [folder], env: {}, cwd: folder });
  const render = program === "llama-server" ? renderServer : renderCli;
  try {
    const rendering = render(profile, { target: "/models/target.gguf", draft: "/models/draft.gguf" }, catalogue);
    return { profile, rendering, text: describe(rendering) };
  } catch (error) {
    if (!(error instanceof LlmctlError)) throw error;
    // Messages have the version of the binary; the snapshot has the build in its name.
    const lines = error.problems.map(({ message, at, fix }) =>
      `refused: ${message} (${at}; ${fix && describeFix(fix)})\n`.replaceAll(catalogue.version, "VERSION"),
    );
    return { profile, rendering: undefined, text: lines.join("") };
  }
}

function describe({ flags, notes }: Rendering): string {
  return [
    ...flags.map(({ args, key, note }) => `${args.join(" ")}  # ${key}${note === undefined ? "" : `: ${note}`}\n`),
    ...notes.map(({ key, reason }) => `left out: ${key}: ${reason}\n`),
  ].join("");
}

/** The absolute path of a plan's committed snapshot. */
export function snapshotPath(name: string, program: string, build: string): string {
  return join(import.meta.dirname, "../fixtures/plans", `${name}-${program}-${build}.txt`);
}
