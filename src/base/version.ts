import { readFileSync } from "node:fs";

/**
 * The version of this llmctl, read as this is loaded: the files of the package may be replaced while a supervisor runs.
 */
export const llmctlVersion: string = readVersion();

function readVersion(): string {
  return (JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string })
    .version;
}
