import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { findPaths } from "../../src/base/files/paths.ts";
import { buildsFolder } from "../../src/llama/ask/builds.ts";

const script = fileURLToPath(new URL("../../scripts/build-llama.sh", import.meta.url));

/** Outside the checkout, so that a new checkout does not compile again. */
export function buildsPrefix(env: NodeJS.ProcessEnv = process.env): string {
  return env["LLMCTL_TEST_BUILDS"] ?? join(env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "llmctl-test-builds");
}

/**
 * A portable CPU build of this release. When it is missing, the project's own script builds it, which takes minutes;
 * otherwise this takes well under a second. Several processes may call it at once. @throws when the build fails: a test
 * that needs it then fails and is never skipped.
 */
export async function ensureLlamaBuild(ref: string): Promise<{ server: string; cli: string }> {
  const args = [script, "--ref", ref, "--backend", "cpu", "--portable", "--rpc", "--prefix", buildsPrefix()];
  let manifest: string | undefined;
  // The demo's build is the same: whichever comes first compiles it.
  const env = { LLMCTL_BUILDS_FROM: buildsFolder(findPaths().data) };
  for await (const line of execa("bash", args, { stdin: "ignore", env })) {
    if (/^(?:source|compile|continue|waiting) |copied from/.test(line))
      process.stderr.write(`llama.cpp ${ref} for the tests: ${line}\n`);
    manifest = /^manifest: (.+)$/.exec(line)?.[1] ?? manifest;
  }
  if (manifest === undefined) throw new Error("build-llama.sh named no manifest");
  const bin = join(dirname(manifest), "bin");
  return { server: join(bin, "llama-server"), cli: join(bin, "llama-cli") };
}
