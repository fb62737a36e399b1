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
 * The file that caches the answer to a question. Each kind of question has a folder of its own.
 * @param question Any JSON value. The file is named by its hash, so it must hold everything that the answer depends on,
 * except what the answer itself records.
 */
export function answerPath(cacheDir: string, kind: string, question: unknown): string {
  return join(
    cacheDir,
    kind,
    `${createHash("sha256").update(JSON.stringify(question)).digest("hex").slice(0, 32)}.json`,
  );
}

/** The largest answer, the flags of a build, has some 100 kB; llmctl did not write a larger file. */
const mostBytes = 4 << 20;

/** @returns undefined when no usable answer is cached; the caller then asks the question again. */
export async function readAnswer<T>(path: string, isUsable: (value: unknown) => value is T): Promise<T | undefined> {
  try {
    const answer = parseJson(await readText(path));
    return isUsable(answer) ? answer : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || systemErrorCode(error) !== undefined) return undefined;
    throw error;
  }
}

/** @returns an empty text for a file of another user, since a cached answer decides what llmctl does. */
async function readText(path: string): Promise<string> {
  const file = await open(path, constants.O_RDONLY | noFollowFlags);
  try {
    const info = await file.stat();
    return info.isFile() && info.size <= mostBytes && isTrusted(info) ? await file.readFile("utf8") : "";
  } finally {
    await file.close();
  }
}

/** The cache only saves time: a folder that is full, read-only or another user's is not an error. */
export async function keepAnswer(path: string, answer: unknown): Promise<void> {
  try {
    expectTrustedPath(dirname(path));
    await writeFileAtomic(path, JSON.stringify(answer));
  } catch (error) {
    if (systemErrorCode(error) === undefined && !(error instanceof LlmctlError)) throw error;
  }
}
