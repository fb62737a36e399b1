import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { rolldown, type OutputAsset, type OutputChunk } from "rolldown";
import { lateBuiltins } from "./build/late-builtins.ts";
import { layerGroups } from "./build/layers.ts";
import { collectLicences } from "./build/licences.ts";

/*
 * Bundles the program and its dependencies into `dist`: `main.js`, and `chunks` that a command loads when it needs
 * them. The types are checked by `npm run types`.
 */
const folder = join(import.meta.dirname, "..");
const dist = join(folder, "dist");

const output = await bundle();
const chunks = output.filter((file) => file.type === "chunk");
const licences = await collectLicences(chunks.flatMap(({ moduleIds }) => moduleIds));
await replaceFiles(
  new Map([
    ...output.map((file) => [file.fileName, file.type === "chunk" ? file.code : file.source] as const),
    ["THIRD-PARTY-LICENSES.txt", licences],
  ]),
);

async function bundle(): Promise<readonly (OutputAsset | OutputChunk)[]> {
  const build = await rolldown({
    cwd: folder,
    input: { main: "src/main.ts" },
    platform: "node",
    transform: { target: "node20.19" },
    plugins: [lateBuiltins()],
    onLog: (level, log, print) => {
      // A module may be late for one command and early for another.
      if (log.code !== "INEFFECTIVE_DYNAMIC_IMPORT") print(level, log);
    },
  });
  const { output } = await build.generate({
    format: "esm",
    sourcemap: true,
    comments: { legal: false },
    entryFileNames: "[name].js",
    chunkFileNames: "chunks/[name]-[hash].js",
    codeSplitting: { groups: layerGroups(join(folder, "src")) },
  });
  await build.close();
  return output;
}

/**
 * Commands may start meanwhile: a chunk has the hash of its content in its name and comes before `main.js`, which is
 * replaced in one step. What the new `main.js` does not need is removed last. A running supervisor loads nothing late.
 */
async function replaceFiles(files: ReadonlyMap<string, string | Uint8Array>): Promise<void> {
  await mkdir(join(dist, "chunks"), { recursive: true });
  const isMain = (name: string) => name === "main.js";
  for (const [name, content] of [...files].toSorted(([a], [b]) => Number(isMain(a)) - Number(isMain(b)))) {
    const path = join(dist, name);
    const temporary = `${path}.${process.pid}.tmp`;
    await writeFile(temporary, content);
    await rename(temporary, path);
  }
  const kept = new Set([...files.keys()].map((name) => join(dist, name)));
  for (const entry of await readdir(dist, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!kept.has(path) && path !== join(dist, "chunks")) await rm(path, { recursive: true, force: true });
  }
}
