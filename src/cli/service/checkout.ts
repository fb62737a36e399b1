import { access, realpath } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LlmctlError } from "../../base/errors.ts";

/**
 * Refuses to have a service run a program that may move or change under it.
 * @param program Path of llmctl's `main.js`; a link, as `npm link` makes one, is followed.
 * @throws LlmctlError `in-checkout` for a working copy, `in-npx-cache` for what npx keeps for a while.
 */
export async function expectInstalled(program: string): Promise<void> {
  const path = await realpath(program);
  if (path.includes("/_npx/")) {
    throw new LlmctlError("in-npx-cache", "this llmctl is in the cache of npx, which is emptied at times", {
      exit: "config",
      at: path,
      fix: "npm install --global llmctl",
    });
  }
  const root = await findCheckout(dirname(path));
  if (root === undefined) return;
  throw new LlmctlError(
    "in-checkout",
    "this llmctl runs from a working copy, which may move or change under a service",
    {
      exit: "config",
      at: root,
      fix: `install it: cd ${root} && npm install --global "$(npm pack --silent)"; or add --from-checkout`,
    },
  );
}

/**
 * The same of the profile.
 * @throws LlmctlError `in-checkout`
 */
export async function expectProfileKept(profilePath: string): Promise<void> {
  const root = await findCheckout(dirname(await realpath(profilePath)));
  if (root === undefined) return;
  throw new LlmctlError("in-checkout", "this profile is in a working copy, which may move or change under a service", {
    exit: "config",
    at: profilePath,
    fix: "run this in another folder, where ./profiles is not found first; or add --from-checkout",
  });
}

async function findCheckout(folder: string): Promise<string | undefined> {
  for (let at = folder; ; at = dirname(at)) {
    if (await isThere(join(at, ".git"))) return at;
    if (at === dirname(at)) return undefined;
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}
