import { basename, posix } from "node:path";
import { LlmctlError } from "../../base/errors.ts";
import { findModel, findOptions, type FindOptions } from "../../hub/find/find-model.ts";
import type { ModelFiles } from "../../hub/find/model-files.ts";
import { listSidecars } from "../../profiles/model-refs.ts";
import type { ModelRef, Profile } from "../../profiles/schema/schema.ts";
import type { KeyPath } from "../../profiles/yaml/located.ts";
import type { Findings } from "./finding.ts";
import type { PlanSession, ProfileModel } from "./plan-session.ts";

/** The projector and the adapters of a profile. */
export interface SidecarFiles {
  /** Those that are no plain paths, by key, for `ModelPaths`. */
  readonly paths: ReadonlyMap<string, string>;
  readonly files: ModelFiles["shards"];
}

/**
 * Reads the models of one profile. Errors name the key of the profile; one that does not end the plan is a finding, and
 * the model then counts as one that is not on this machine.
 */
export class ModelReader {
  readonly #profile: Profile;
  readonly #session: PlanSession;
  readonly #findings: Findings;

  constructor(profile: Profile, session: PlanSession, findings: Findings) {
    this.#profile = profile;
    this.#session = session;
    this.#findings = findings;
  }

  async read(key: KeyPath, ref: ModelRef): Promise<ProfileModel> {
    const options = this.#options(key);
    try {
      return await this.#session.readModel(ref, options);
    } catch (error) {
      this.#note(error, options.at);
      return { path: `<${describeRef(ref)}>`, files: [], model: undefined };
    }
  }

  /** Whether a model is not, or not completely, on this machine. */
  async lacks(ref: ModelRef): Promise<boolean> {
    try {
      await this.#session.readModel(ref, findOptions(this.#profile, this.#session.paths));
      return false;
    } catch (error) {
      if (error instanceof LlmctlError) return error.code === "model-missing";
      throw error;
    }
  }

  /**
   * Finds the projector and the adapters. The plain paths among them are looked for as well: a server loads the model
   * before it says that one of them is missing.
   */
  async readSidecars(): Promise<SidecarFiles> {
    const paths = new Map<string, string>();
    const files: ModelFiles["shards"][number][] = [];
    for (const { key, ref } of listSidecars(this.#profile.values)) {
      if (typeof ref === "string") {
        files.push(...(await this.#findFiles(key, ref)));
        continue;
      }
      const found = await this.read(key, ref);
      paths.set(key.join("."), found.path);
      files.push(...found.files);
    }
    return { paths, files };
  }

  async #findFiles(key: KeyPath, ref: string): Promise<ModelFiles["shards"]> {
    const options = this.#options(key);
    try {
      return (await findModel(ref, options)).shards;
    } catch (error) {
      this.#note(error, options.at);
      return [];
    }
  }

  #note(error: unknown, at: string): void {
    if (!(error instanceof LlmctlError)) throw error;
    const placed = placedAt(error, at);
    if (error.code === "model-missing") this.#findings.lack(placed);
    else this.#findings.fail(placed);
  }

  #options(key: KeyPath): FindOptions & { readonly at: string } {
    return { ...findOptions(this.#profile, this.#session.paths), at: this.#profile.at(...key) };
  }
}

function describeRef(ref: ModelRef): string {
  if (typeof ref === "string") return basename(ref);
  return "url" in ref ? posix.basename(new URL(ref.url).pathname) : `${ref.hf}:${ref.quant ?? ref.file}`;
}

/** The rooms that read files name the file; a person must also know the key that named it. */
function placedAt(error: LlmctlError, at: string): LlmctlError {
  const [first = { message: error.message }, ...more] = error.problems;
  const place = first.at === undefined || first.at === at ? at : `${at} (${first.at})`;
  return new LlmctlError(
    error.code,
    first.message,
    { exit: error.exit, at: place, ...(first.fix === undefined ? {} : { fix: first.fix }), cause: error },
    more,
  );
}
