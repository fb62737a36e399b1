import { createHmac, randomBytes } from "node:crypto";
import { join } from "node:path";
import { createFileAtomic } from "../../base/files/atomic-write.ts";
import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { readSmallFile } from "../../base/files/read-small-file.ts";
import { expectSafeForRoot } from "../../base/files/trusted-path.ts";

type ChildEnv = Readonly<Record<string, string>>;

/**
 * Stands for a profile's `env` in the hash of its launch, which is shown to Prometheus and in bug reports. It is keyed
 * by a secret of this user, so that nobody else can try values until the hash of a short secret matches. The secret is
 * beside the builds, on whose place a launch depends anyway: states may be removed while their servers run on, and a
 * new secret would change the hash of a profile that has not changed.
 * @returns the same text for the same variables of the same user. Where no secret can be kept, only the names count.
 */
export async function sealEnv(env: ChildEnv, dataDir: string): Promise<string> {
  const names = Object.keys(env);
  if (names.length === 0) return "";
  const key = await findKey(dataDir);
  return key === undefined ? names.join(" ") : createHmac("sha256", key).update(JSON.stringify(env)).digest("hex");
}

async function findKey(dataDir: string): Promise<string | undefined> {
  const path = join(dataDir, ".hash-key");
  try {
    return readKey(path) ?? (await makeKey(dataDir, path));
  } catch (error) {
    // A start reports a folder that cannot be used elsewhere; a plan that is only shown does not need one.
    if (error instanceof LlmctlError || systemErrorCode(error) !== undefined) return undefined;
    throw error;
  }
}

async function makeKey(dataDir: string, path: string): Promise<string | undefined> {
  expectSafeForRoot(dataDir);
  try {
    await createFileAtomic(path, `${randomBytes(32).toString("hex")}\n`);
  } catch (error) {
    if (systemErrorCode(error) !== "EEXIST") throw error; // else another command was faster
  }
  return readKey(path);
}

function readKey(path: string): string | undefined {
  try {
    return /^[0-9a-f]{64}$/m.exec(readSmallFile(path) ?? "")?.[0];
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}
