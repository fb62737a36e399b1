import { LlmctlError } from "../../base/errors.ts";
import type { Paths } from "../../base/files/paths.ts";
import type { ProfileValues } from "../../profiles/schema/schema.ts";
import { checkBinary } from "./check-binary.ts";
import { findServer } from "./builds.ts";
import { readFlagCatalogue, type FlagCatalogue } from "./flag-catalogue.ts";

/** A program of a build that has been asked for its flags. */
export interface AskedBuild {
  /** Absolute path of the program. */
  readonly file: string;
  /** The build's name, for people. */
  readonly label: string;
  readonly catalogue: FlagCatalogue;
}

interface BuildQuestion {
  readonly llama: ProfileValues["llama"];
  /** Where the build is named, for messages. */
  readonly at: string;
  readonly program: "llama-server" | "llama-cli";
  readonly paths: Paths;
  /** The whole environment of the program. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Finds a program of a build, checks that it can be started, and asks it for its version and its flags.
 * @throws LlmctlError `cli-missing` for a build without llama-cli, and as `findServer`, `checkBinary` and
 *   `readFlagCatalogue`.
 */
export async function askBuild({ llama, at, program, paths, env }: BuildQuestion): Promise<AskedBuild> {
  const { server, cli, label } = await findServer(llama, paths.data, at);
  const file = program === "llama-server" ? server : cli;
  if (file === undefined) throw cliMissing(server, at);
  await checkBinary(file, at);
  return { file, label, catalogue: await readFlagCatalogue(file, { cacheDir: paths.cache, env }) };
}

function cliMissing(server: string, at: string): LlmctlError {
  return new LlmctlError("cli-missing", `there is no llama-cli beside "${server}"`, {
    exit: "missingFile",
    at,
    fix: { run: ["build"], after: ", which makes both", or: "name a build in llama.build" },
  });
}

/** A build for people: its name, and the line that its program says of its version. */
export function describeBuild({ label, catalogue }: AskedBuild): string {
  return `${label}: ${catalogue.version}`;
}
