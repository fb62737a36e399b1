import type { Paths } from "../../base/files/paths.ts";
import { findModel, type FindOptions } from "../../hub/find/find-model.ts";
import type { ModelFiles } from "../../hub/find/model-files.ts";
import { readModel, type GgufModel } from "../../gguf/read-model.ts";
import type { ModelRef, Profile } from "../../profiles/schema/schema.ts";
import { type AskedBuild, askBuild } from "../ask/asked-build.ts";
import { findLlamaConfigFiles, type LlamaConfigFile } from "../ask/llama-config-files.ts";
import { type Device, listDevices } from "../ask/devices.ts";
import { askWorkerProgram, type WorkerProgram } from "../ask/worker-program.ts";
import type { Program } from "../render/flag-rule.ts";

type ChildEnv = Readonly<Record<string, string>>;

/** A model of a profile, and the content of its headers. */
export interface ProfileModel {
  /** For the command line; in angle brackets when the file is not on this machine. */
  readonly path: string;
  readonly files: ModelFiles["shards"];
  /** Undefined when the file is not on this machine, or cannot be read. */
  readonly model: GgufModel | undefined;
}

/**
 * The answers that one command needs, for one profile or for many: a build is asked for its flags once, and for its
 * devices once for each environment; a model is searched, and its headers are read, once. A question that fails is
 * asked again for the next profile, whose error then names its own place.
 */
export class PlanSession {
  readonly paths: Paths;
  readonly env: NodeJS.ProcessEnv;
  readonly #known = new Map<string, Promise<unknown>>();

  constructor(paths: Paths, env: NodeJS.ProcessEnv) {
    this.paths = paths;
    this.env = env;
  }

  /** @throws LlmctlError as {@link askBuild}. */
  async findBuild(profile: Profile, program: Program, env: ChildEnv): Promise<AskedBuild> {
    const { llama } = profile.values;
    const at = profile.at("llama");
    return this.once(["build", program, llama], () => askBuild({ llama, at, program, paths: this.paths, env }));
  }

  /** @throws LlmctlError as {@link askWorkerProgram}. */
  async findWorker(profile: Profile, env: ChildEnv): Promise<WorkerProgram> {
    const { llama } = profile.values;
    const at = profile.at("llama");
    return this.once(["worker", llama], () => askWorkerProgram({ llama, at, paths: this.paths, env }));
  }

  async findConfigFiles(env: ChildEnv): Promise<LlamaConfigFile[]> {
    return this.once(["config", env["XDG_CONFIG_HOME"], env["HOME"]], () => findLlamaConfigFiles(env));
  }

  /** @throws LlmctlError as {@link listDevices}. */
  async listDevices(server: string, env: ChildEnv): Promise<Device[]> {
    return this.once(["devices", server, env], () => listDevices(server, env));
  }

  /** Finds a model's files and reads its headers. @throws LlmctlError as `findModel` and `readModel`. */
  async readModel(ref: ModelRef, options: FindOptions): Promise<ProfileModel> {
    return this.once(["model", ref, options.modelDirs], async () => {
      const { shards } = await findModel(ref, options);
      const [first] = shards;
      if (first === undefined) throw new Error("a model without files");
      return { path: first.path, files: shards, model: await readModel(first.path) };
    });
  }

  /**
   * Asks a question that was not asked before, else gives the known answer.
   * @param question Begins with the kind of the answer, and holds all that the answer depends on.
   */
  async once<T>(question: readonly unknown[], ask: () => Promise<T>): Promise<T> {
    const key = JSON.stringify(question);
    const known = this.#known.get(key) as Promise<T> | undefined;
    if (known !== undefined) {
      const answer = await known.then(
        (value) => ({ value }),
        () => undefined, // asked again: the error is to name the place of this profile
      );
      if (answer !== undefined) return answer.value;
    }
    const asked = ask();
    this.#known.set(key, asked);
    return asked;
  }
}
