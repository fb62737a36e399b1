import { readFileSync } from "node:fs";
import { join } from "node:path";
import { packageFolder } from "./package-folder.ts";

/** The version of this llmctl, read when the module is loaded: npm may replace the package while a supervisor runs. */
export const llmctlVersion: string = readVersion();

function readVersion(): string {
  return (JSON.parse(readFileSync(join(packageFolder, "package.json"), "utf8")) as { version: string }).version;
}
