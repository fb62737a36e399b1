import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { LlmctlError } from "../../base/errors.ts";
import type { Paths } from "../../base/files/paths.ts";
import { packageFolder } from "../../base/package-folder.ts";
import { checkBinary } from "./binary-check.ts";
import { findServer } from "./builds.ts";
import { childEnvironment } from "./child-env.ts";
import { askBinary, FlagCatalogue } from "./flag-catalogue.ts";
import { parseHelp } from "./help-text.ts";

/** The release that exports are rendered for unless told; what its llama-server takes comes with the package. */
export const exportRelease = "v0.5.0";

/**
 * What the llama-server of a release takes, where the release itself is not here but in an image: from the package, or
 * from an installed build of the same release.
 * @throws LlmctlError `release-unknown` where neither has it.
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
    return await askBinary(server, { cacheDir: paths.cache, env: childEnvironment(process.env, {}, () => at) });
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
