import { realpath } from "node:fs/promises";
import { dirname } from "node:path";
import { systemErrorCode } from "../../base/errors.ts";
import type { Paths } from "../../base/files/paths.ts";
import { urlModelFolder } from "../../hub/find/find-model.ts";
import { buildsFolder } from "../../llama/ask/builds.ts";
import { listModelRefs } from "../../profiles/model-refs.ts";
import type { Profile } from "../../profiles/schema/schema.ts";

/**
 * The folders that a profile's server needs mounted: those of the profile itself, its models, its keys and its build.
 * Each of them both as it is named and as the folder that its links lead to.
 */
export async function listMounts({ path, values }: Profile, paths: Paths): Promise<string[]> {
  const { llama, server, model_dirs: modelDirs } = values;
  const refs = listModelRefs(values).map(({ ref }) => ref);
  const files = [
    path,
    ...refs.filter((ref) => typeof ref === "string"),
    ...(server.api_key_file === undefined ? [] : [server.api_key_file]),
    ...(llama.binary === undefined ? [] : [llama.binary]),
  ];
  const folders = [
    ...(refs.some((ref) => typeof ref === "object" && "hf" in ref) ? [paths.hub, ...modelDirs] : []),
    ...(refs.some((ref) => typeof ref === "object" && "url" in ref) ? [urlModelFolder(paths)] : []),
    ...(llama.binary === undefined ? [buildsFolder(paths.data)] : []),
  ];
  const places = await Promise.all([...files.map(placesOfFile), ...folders.map(placesOfFolder)]);
  return [...new Set(places.flat())];
}

async function placesOfFile(path: string): Promise<string[]> {
  return [dirname(path), dirname(await follow(path))];
}

async function placesOfFolder(path: string): Promise<string[]> {
  return [path, await follow(path)];
}

/** The path that links lead to; the path itself where that is not known, such as before a file system is mounted. */
async function follow(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return path;
  }
}
