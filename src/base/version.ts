import { readFileSync } from "node:fs";

/** The version of this llmctl, read when the module is loaded: npm may replace the package while a supervisor runs. */
export const llmctlVersion: string = readVersion();

function readVersion(): string {
  return (JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string })
    .version;
}
