import { stat } from "node:fs/promises";
import { systemErrorCode } from "../base/errors.ts";
import type { Fix } from "../base/fix.ts";
import { readCommand } from "./unit.ts";

/** A file that a unit names and that is not there any more. */
export interface GoneFile {
  /** Such as `the Node that it runs`. */
  readonly what: string;
  readonly path: string;
  readonly fix: Fix;
}

/** @param unit Text of the unit. @param name Of its profile. */
export async function findGoneFiles(unit: string, name: string): Promise<GoneFile[]> {
  const command = readCommand(unit);
  const [node = "", program = ""] = command;
  const anew: Fix = { run: ["systemd", "install", name] };
  const files: readonly GoneFile[] = [
    { what: "the Node that it runs", path: node, fix: anew },
    { what: "the llmctl that it runs", path: program, fix: anew },
    {
      what: "its profile",
      path: command.at(-1) ?? "",
      fix: { before: "put it back, install a unit for another file, or run", run: ["systemd", "uninstall", name] },
    },
  ];
  const gone = await Promise.all(files.map(({ path }) => isGone(path)));
  return files.filter((_, index) => gone[index]);
}

async function isGone(path: string): Promise<boolean> {
  if (!path.startsWith("/")) return false;
  try {
    await stat(path);
    return false;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === undefined) throw error;
    return code === "ENOENT" || code === "ENOTDIR";
  }
}
