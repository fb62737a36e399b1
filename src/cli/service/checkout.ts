import { access, realpath } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LlmctlError } from "../../base/errors.ts";

/**
 * Refuses a program that may move or change while a service runs it.
 * @param program Path of llmctl's `main.js`; a link, such as one of `npm link`, is followed.
 * @throws LlmctlError `in-checkout` for a working copy, `in-npx-cache` for a program in the cache of npx.
 */
export async function expectInstalled(program: string): Promise<void> {
  const path = await realpath(program);
  if (path.includes("/_npx/")) {
    throw new LlmctlError("in-npx-cache", "this llmctl is in the cache of npx, which npm may empty", {
      exit: "config",
      at: path,
      fix: "npm install --global llmctl",
    });
  }
  const root = await findCheckout(dirname(path));
  if (root === undefined) return;
  throw new LlmctlError(
    "in-checkout",
    "this llmctl runs from a working copy, which may move or change while a service runs it",
    {
      exit: "config",
      at: root,
      fix: `install it: cd ${root} && npm install --global "$(npm pack --silent)"; or add --from-checkout`,
    },
  );
}

/**
 * Refuses a profile that may move or change while a service runs it.
 * @throws LlmctlError `in-checkout`
 */
export async function expectProfileKept(profilePath: string): Promise<void> {
  const root = await findCheckout(dirname(await realpath(profilePath)));
  if (root === undefined) return;
  throw new LlmctlError(
    "in-checkout",
    "this profile is in a working copy, which may move or change while a service runs it",
    {
      exit: "config",
      at: profilePath,
      fix: "run this in a folder that has no ./profiles; or add --from-checkout",
    },
  );
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
