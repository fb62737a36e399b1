import { createHash } from "node:crypto";
import { join } from "node:path";
import { writeFileAtomic } from "./atomic-write.ts";
import { systemErrorCode } from "./errors.ts";
import { parseJson } from "./parse-json.ts";
import { readBounded } from "./read-bounded.ts";

/**
 * Where the answer to a question is kept, a file each, in a folder for each kind of them.
 * @param question Names the file, and so must say all that the answer depends on, unless the answer itself says the rest; anything that JSON can say.
 */
export function answerPath(cacheDir: string, kind: string, question: unknown): string {
  return join(cacheDir, kind, `${createHash("sha256").update(JSON.stringify(question)).digest("hex").slice(0, 32)}.json`);
}

/** The largest answer, the flags of a build, has some 100 kB. What is larger is none of ours. */
const mostBytes = 4 << 20;

/** @returns undefined where there is none, or none that can be read or used: the question is asked again then. */
export async function readAnswer<T>(path: string, isUsable: (value: unknown) => value is T): Promise<T | undefined> {
  try {
    const answer = parseJson((await readBounded(path, mostBytes)) ?? "");
    return isUsable(answer) ? answer : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || systemErrorCode(error) !== undefined) return undefined;
    throw error;
  }
}

/** Only saves time: a folder that is full or read-only stops nothing. */
export async function keepAnswer(path: string, answer: unknown): Promise<void> {
  try {
    await writeFileAtomic(path, JSON.stringify(answer));
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
  }
}
