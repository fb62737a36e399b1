import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { writeFileAtomic } from "./atomic-write.ts";
import { LlmctlError, systemErrorCode } from "../errors.ts";
import { noFollowFlags } from "./own-file.ts";
import { parseJson } from "../text/parse-json.ts";
import { expectTrustedPath, isTrusted } from "./trusted-path.ts";

/**
 * Where the answer to a question is kept, a file each, in a folder for each kind of them.
 * @param question Names the file, and so must say all that the answer depends on, unless the answer itself says the
 *   rest; anything that JSON can say.
 */
export function answerPath(cacheDir: string, kind: string, question: unknown): string {
  return join(
    cacheDir,
    kind,
    `${createHash("sha256").update(JSON.stringify(question)).digest("hex").slice(0, 32)}.json`,
  );
}

/** The largest answer, the flags of a build, has some 100 kB. What is larger is none of ours. */
const mostBytes = 4 << 20;

/**
 * @returns undefined where there is none, or none that can be read, used or believed: the question is asked again then.
 */
export async function readAnswer<T>(path: string, isUsable: (value: unknown) => value is T): Promise<T | undefined> {
  try {
    const answer = parseJson(await readText(path));
    return isUsable(answer) ? answer : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || systemErrorCode(error) !== undefined) return undefined;
    throw error;
  }
}

/** @returns nothing of what another user has put there, whose answers would decide for us. */
async function readText(path: string): Promise<string> {
  const file = await open(path, constants.O_RDONLY | noFollowFlags);
  try {
    const info = await file.stat();
    return info.isFile() && info.size <= mostBytes && isTrusted(info) ? await file.readFile("utf8") : "";
  } finally {
    await file.close();
  }
}

/** Only saves time: a folder that is full, read-only or another user's stops nothing. */
export async function keepAnswer(path: string, answer: unknown): Promise<void> {
  try {
    expectTrustedPath(dirname(path));
    await writeFileAtomic(path, JSON.stringify(answer));
  } catch (error) {
    if (systemErrorCode(error) === undefined && !(error instanceof LlmctlError)) throw error;
  }
}
