import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { systemErrorCode } from "../../src/base/errors.ts";
import { readHeader } from "../../src/gguf/read-header.ts";
import { buildsPrefix } from "./llama-builds.ts";
import { readVocab } from "./tiny-body.ts";
import type { Vocab } from "./tiny-body.ts";

const script = fileURLToPath(new URL("../../scripts/build-llama.sh", import.meta.url));

/**
 * The vocabularies in the `models/` folder of a llama.cpp release, by name such as `llama-bpe`. They come from the npm
 * package that `build-llama.sh` can use as a source, and are kept in the folder of the builds.
 */
export async function readLlamaVocabs(ref: string): Promise<Map<string, Vocab>> {
  const folder = join(buildsPrefix(), "vocabs", ref);
  const files = await list(folder).catch(async (error: unknown) => {
    if (systemErrorCode(error) !== "ENOENT") throw error;
    await fetchVocabs(ref, folder);
    return list(folder);
  });
  const vocabs = new Map<string, Vocab>();
  for (const file of files)
    vocabs.set(file.slice("ggml-vocab-".length, -".gguf".length), readVocab(await readHeader(join(folder, file))));
  return vocabs;
}

async function list(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => /^ggml-vocab-.+\.gguf$/.test(name)).toSorted();
}

async function fetchVocabs(ref: string, folder: string): Promise<void> {
  await mkdir(join(folder, ".."), { recursive: true });
  const work = await mkdtemp(`${folder}-`);
  try {
    const { version, hash } = await findRelease(ref);
    await execa("npm", ["pack", `node-llama-cpp@${version}`, "--pack-destination", work]);
    const archive = join(work, `node-llama-cpp-${version}.tgz`);
    const found = `sha512-${createHash("sha512")
      .update(await readFile(archive))
      .digest("base64")}`;
    if (found !== hash) throw new Error(`node-llama-cpp@${version} is not the expected package: ${found}`);
    await execa("tar", ["-xzf", archive, "-C", work, "package/llama/gitRelease.bundle"]);
    const git = async (...args: string[]) => execa("git", ["-C", work, ...args]);
    await git("init", "--quiet");
    await git("fetch", "--quiet", join(work, "package/llama/gitRelease.bundle"), "HEAD");
    await git("checkout", "--quiet", "FETCH_HEAD", "--", "models");
    await rename(join(work, "models"), folder);
  } finally {
    await rm(work, { recursive: true });
  }
}

/** The package and its hash in the build script. */
async function findRelease(ref: string): Promise<{ readonly version: string; readonly hash: string }> {
  const releases = /npm_releases='([^']+)'/.exec(await readFile(script, "utf8"))?.[1]?.split("\n") ?? [];
  const [, version, hash] = releases.find((line) => line.startsWith(`${ref} `))?.split(" ") ?? [];
  if (version === undefined || hash === undefined)
    throw new Error(`build-llama.sh knows no package with llama.cpp ${ref}`);
  return { version, hash };
}
