import { mkdir, symlink, utimes, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { sha256 } from "./hub-server.ts";

interface PythonFile {
  /** Relative to the repository, with `/`. */
  readonly name: string;
  readonly content: Buffer;
}

/**
 * Writes files in the layout of `snapshot_download(repo)` of huggingface_hub 2.4: blobs named by their ETag, links in
 * snapshots, a ref.
 */
export async function putPythonCache(
  hubCache: string,
  hf: string,
  commit: string,
  files: readonly PythonFile[],
): Promise<string[]> {
  const repo = join(hubCache, `models--${hf.replace("/", "--")}`);
  const paths: string[] = [];
  for (const { name, content } of files) {
    const blob = join(repo, "blobs", sha256(content));
    const path = join(repo, "snapshots", commit, name);
    await put(blob, content);
    await mkdir(dirname(path), { recursive: true });
    await symlink(relative(dirname(path), blob), path);
    await put(join(hubCache, ".locks", `models--${hf.replace("/", "--")}`, `${sha256(content)}.lock`), "");
    paths.push(path);
  }
  await put(join(repo, "refs/main"), commit);
  await put(join(repo, "trees", `${commit}.json`), "[]");
  await put(join(hubCache, "CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55");
  return paths;
}

/**
 * Writes files in the layout of `snapshot_download(repo, local_dir=folder)` of huggingface_hub 2.4: plain files, and
 * notes with their origin.
 */
export async function putPythonFolder(folder: string, commit: string, files: readonly PythonFile[]): Promise<string[]> {
  const paths: string[] = [];
  for (const { name, content } of files) {
    const path = join(folder, name);
    await put(path, content);
    await utimes(path, 1_700_000_000, 1_700_000_000);
    await put(
      join(folder, ".cache/huggingface/download", `${name}.metadata`),
      `${commit}\n${sha256(content)}\n1700000000.25\n`,
    );
    paths.push(path);
  }
  await put(join(folder, ".cache/huggingface/.gitignore"), "*");
  return paths;
}

async function put(path: string, content: string | Buffer): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
}
