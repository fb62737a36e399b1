import { dirname, join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { writeFileAtomic } from "../../base/files/atomic-write.ts";
import { controlCharacter } from "../../base/text/control-characters.ts";
import { systemErrorCode } from "../../base/errors.ts";
import type { Paths } from "../../base/files/paths.ts";
import { readBounded } from "../../base/files/read-bounded.ts";
import { profileSchemaText } from "./profile.ts";

export const schemaFileName = "profile.schema.json";

/**
 * Writes the JSON Schema of this version to the place where the user's editor finds it. Safe to repeat.
 * @returns the name by which a profile at this path refers to it.
 */
export async function ensureSchemaFile(paths: Pick<Paths, "config">, profilePath: string): Promise<string> {
  const path = join(paths.config, schemaFileName);
  const text = profileSchemaText();
  if ((await readOrNothing(path)) !== text) await writeFileAtomic(path, text, { mode: 0o644 });
  const isNear = dirname(profilePath) === join(paths.config, "profiles");
  if (isNear) return relative(dirname(profilePath), path);
  // The YAML language server reads the name up to the first blank, and a control character would end the comment.
  return /\s/.test(path) || controlCharacter.test(path) ? pathToFileURL(path).href : path;
}

async function readOrNothing(path: string): Promise<string | undefined> {
  try {
    return await readBounded(path, 2 * profileSchemaText().length);
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}
