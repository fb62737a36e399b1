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
  async refuse(nameOrPath: string, env: LoadOptions["env"] = {}): Promise<LlmctlError> {
    try {
      await this.load(nameOrPath, env);
    } catch (error) {
      if (error instanceof LlmctlError) return error;
      throw error;
    }
    throw new Error(`${nameOrPath} was accepted`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.cwd, { recursive: true, force: true });
  }
}

/** One profile `near/coder.yaml`, refused. */
export async function refuseText(text: string | Uint8Array, env: LoadOptions["env"] = {}): Promise<LlmctlError> {
  await using folder = await ProfileFolder.create({ "near/coder.yaml": text });
  return await folder.refuse("coder", env);
}
