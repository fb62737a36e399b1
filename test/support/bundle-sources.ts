import { join } from "node:path";
import { build } from "rolldown";

const src = join(import.meta.dirname, "../../src");

/**
 * Bundles files of the sources, for a process that has no loader of TypeScript. The built program cannot be asked: its
 * chunks export under short names.
 * @returns the path of the module that a file became.
 */
export async function bundleSources(files: readonly string[], folder: string): Promise<(file: string) => string> {
  const nameOf = (file: string) => file.replace(/\.ts$/, "").replaceAll("/", "-");
  await build({
    input: Object.fromEntries(files.map((file) => [nameOf(file), join(src, file)])),
    platform: "node",
    logLevel: "warn",
    output: { dir: folder, format: "esm", entryFileNames: "[name].mjs", chunkFileNames: "[name]-[hash].mjs" },
  });
  return (file) => join(folder, `${nameOf(file)}.mjs`);
}
