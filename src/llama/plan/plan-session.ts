import { availableParallelism } from "node:os";
import { mapBounded } from "../../base/map-bounded.ts";
import type { Paths } from "../../base/files/paths.ts";
import type { ModelRef, Profile } from "../../profiles/schema/schema.ts";
import type { Launch } from "../../supervisor/launch.ts";
import { checkBinary } from "../ask/binary-check.ts";
import { findServer } from "../ask/builds.ts";
import { type StrayConfig, strayConfig } from "../ask/child-env.ts";
import { type Device, listDevices } from "../ask/devices.ts";
import { askFitOnce } from "../ask/fit-cache.ts";
import { findFitParams, type FitAnswer } from "../ask/fit-params.ts";
import { askBinary, type FlagCatalogue } from "../ask/flag-catalogue.ts";
import { type ProfileModel, ModelReader } from "./model-reader.ts";

type Env = Readonly<Record<string, string>>;

/** A build that has been asked for its flags. */
export interface AskedBuild {
  readonly server: string;
  /** For people. */
  readonly label: string;
  readonly catalogue: FlagCatalogue;
}

/** What a model is asked for in the words of one profile. */
interface FitRequest {
  readonly server: string;
  readonly env: Env;
  readonly files: Launch["files"];
  /** Says the question in the flags that this program has. */
  readonly toArguments: (catalogue: FlagCatalogue) => readonly string[];
}

/**
 * What the checks of many profiles share: each build is asked for its flags once, and for its devices once an
 * environment; each model's headers are read once. What fails is asked again for the next profile, whose message then
 * names its own place.
 */
export class PlanSession {
  readonly paths: Paths;
  readonly env: NodeJS.ProcessEnv;
  readonly #known = new Map<string, Promise<unknown>>();

  constructor(paths: Paths, env: NodeJS.ProcessEnv) {
    this.paths = paths;
    this.env = env;
  }

  /** @throws LlmctlError as `findServer`, `checkBinary` and `askBinary`. */
  async findBuild(profile: Profile, childEnv: Env): Promise<AskedBuild> {
    const at = profile.at("llama");
    return this.#once(["build", profile.values.llama], async () => {
      const { server, label } = await findServer(profile.values.llama, this.paths.data, at);
      await checkBinary(server, at);
      return { server, label, catalogue: await this.#ask(server, childEnv) };
    });
  }

  async readStrayConfig(env: Env): Promise<StrayConfig[]> {
    return this.#once(["config", env["XDG_CONFIG_HOME"], env["HOME"]], () => strayConfig(env));
  }

  /** @throws LlmctlError as {@link listDevices}. */
  async listDevices(server: string, env: Env): Promise<Device[]> {
    return this.#once(["devices", server, env], () => listDevices(server, env));
  }

  /** @throws LlmctlError as {@link ModelReader.read}. */
  async readModel(profile: Profile, key: string, ref: ModelRef): Promise<ProfileModel> {
    return this.#once(["model", ref, profile.values.model_dirs], () => this.reader(profile).read(key, ref));
  }

  reader(profile: Profile): ModelReader {
    return new ModelReader(profile, this.paths, "refuse");
  }

  /**
   * Asks the llama-fit-params beside a server; undefined where there is none.
   * @throws LlmctlError as `askFitParams`, `askBinary` and {@link listDevices}.
   */
  async askFit({ server, env, files, toArguments }: FitRequest): Promise<FitAnswer | undefined> {
    const program = await this.#once(["fit-params", server], () => findFitParams(server));
    if (program === undefined) return undefined;
    const catalogue = await this.#ask(program, env);
    const args = toArguments(catalogue);
    const devices = await this.listDevices(server, env);
    return this.#once(["fit", program, env, args], () =>
      askFitOnce({ program, args, env, catalogue, devices, files, cacheDir: this.paths.cache }),
    );
  }

  async #ask(program: string, env: Env): Promise<FlagCatalogue> {
    return this.#once(["flags", program], () => askBinary(program, { cacheDir: this.paths.cache, env }));
  }

  async #once<T>(question: readonly unknown[], ask: () => Promise<T>): Promise<T> {
    const key = JSON.stringify(question);
    const known = this.#known.get(key) as Promise<T> | undefined; // the key begins with the kind of the answer
    if (known !== undefined) return known;
    const asked = ask();
    this.#known.set(key, asked);
    try {
      return await asked;
    } catch (error) {
      this.#known.delete(key);
      throw error;
    }
  }
}

/** As many programs at once as there are processors. */
export async function mapOverProcessors<T, R>(items: readonly T[], action: (item: T) => Promise<R>): Promise<R[]> {
  return mapBounded(items, availableParallelism(), action);
}
