import { mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { LlmctlError } from "../../src/base/errors.ts";
import { type LoadOptions, loadProfile } from "../../src/profiles/load.ts";
import type { Profile } from "../../src/profiles/schema/schema.ts";

/** A temporary working directory with profiles in it; `await using` removes it. */
export class ProfileFolder implements AsyncDisposable {
  readonly cwd: string;

  private constructor(cwd: string) {
    this.cwd = cwd;
  }

  static async create(files: Readonly<Record<string, string | Uint8Array>>): Promise<ProfileFolder> {
    const folder = new ProfileFolder(await realpath(await mkdtemp(join(tmpdir(), "llmctl-profiles-"))));
    for (const [path, text] of Object.entries(files)) await folder.write(path, text);
    return folder;
  }

  async write(path: string, text: string | Uint8Array): Promise<void> {
    const full = join(this.cwd, path);
    await mkdir(dirname(full), { recursive: true });
    await writeFile(full, text);
  }

  options(env: LoadOptions["env"] = {}): LoadOptions & { readonly cwd: string } {
    return {
      folders: ["near", "far"].map((name) => join(this.cwd, name)),
      env: { HOME: "/home/ada", ...env },
      cwd: this.cwd,
    };
  }

  load(nameOrPath: string, env: LoadOptions["env"] = {}): Promise<Profile> {
    return loadProfile(nameOrPath, this.options(env));
  }

  /** The failure of a load that must fail. */
  refuse(nameOrPath: string, env: LoadOptions["env"] = {}): Promise<LlmctlError> {
    return refusalOf(this.load(nameOrPath, env));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.cwd, { recursive: true, force: true });
  }
}

/** The options for one profile that is in no file: `near/coder.yaml` in a working directory that does not exist. */
export function textOptions(text: string, env: LoadOptions["env"] = {}) {
  const cwd = "/no-such-folder";
  const path = `${cwd}/near/coder.yaml`;
  return { path, cwd, folders: [`${cwd}/near`], env: { HOME: "/home/ada", ...env }, instead: { path, text } } as const;
}

/** One profile `near/coder.yaml` that is in no file, and extends none. */
function loadText(text: string, env: LoadOptions["env"] = {}): Promise<Profile> {
  const { path, ...options } = textOptions(text, env);
  return loadProfile(path, options);
}

/** As {@link loadText}, refused. */
export function refuseText(text: string, env: LoadOptions["env"] = {}): Promise<LlmctlError> {
  return refusalOf(loadText(text, env));
}

/** One file `near/coder.yaml`, refused. */
export async function refuseFile(content: string | Uint8Array, env: LoadOptions["env"] = {}): Promise<LlmctlError> {
  await using folder = await ProfileFolder.create({ "near/coder.yaml": content });
  return await folder.refuse("coder", env);
}

async function refusalOf(loading: Promise<Profile>): Promise<LlmctlError> {
  try {
    await loading;
  } catch (error) {
    if (error instanceof LlmctlError) return error;
    throw error;
  }
  throw new Error("the profile was accepted");
}
