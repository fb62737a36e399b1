import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { LlmctlError } from "../../base/errors.ts";
import type { Paths } from "../../base/files/paths.ts";
import { checkBinary } from "./check-binary.ts";
import { packageFolder } from "../../base/package-folder.ts";
import { findServer } from "./builds.ts";
import { childEnvironment } from "./child-env.ts";
import { readFlagCatalogue, FlagCatalogue } from "./flag-catalogue.ts";
import { parseHelp } from "./help-text.ts";

/** The default release of exports; the help text of its llama-server is in this package. */
export const exportRelease = "v0.5.0";

/**
 * The flags of a release that runs in an image and not on this machine: from the package, or from an installed build of
 * the same release.
 * @throws LlmctlError `release-unknown` when neither has it.
 */
export async function readReleaseCatalogue(release: string, paths: Paths): Promise<FlagCatalogue> {
  if (release === exportRelease) {
    const text = await readFile(join(packageFolder, `catalogues/llama-server-${release}.txt`), "utf8");
    return new FlagCatalogue(release, parseHelp(text));
  }
  const at = `--release ${release}`;
  try {
    const { server } = await findServer({ build: release }, paths.data, at);
    await checkBinary(server, at);
    return await readFlagCatalogue(server, { cacheDir: paths.cache, env: childEnvironment(process.env, {}, () => at) });
  } catch (cause) {
    if (!(cause instanceof LlmctlError) || !["build-missing", "build-unknown"].includes(cause.code)) throw cause;
    throw new LlmctlError(
      "release-unknown",
      `the flags of llama.cpp ${release} are not known: no build of it is installed`,
      {
        exit: "missingFile",
        at,
        fix: { run: ["build", "--ref", release], or: `leave out --release for ${exportRelease}` },
        cause,
      },
    );
  }
}
