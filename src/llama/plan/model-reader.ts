import { basename, posix } from "node:path";
import { LlmctlError } from "../../base/errors.ts";
import { describeInLine } from "../../base/fix.ts";
import type { Paths } from "../../base/files/paths.ts";
import { readModel, type GgufModel } from "../../gguf/read-model.ts";
import { findModel, findOptions, searchModel, type FindOptions } from "../../hub/find/find-model.ts";
import type { ModelFiles } from "../../hub/find/model-files.ts";
import type { ModelRef, Profile, RemoteModelRef } from "../../profiles/schema/schema.ts";

/** A model of a profile, and what its headers say. */
export interface ProfileModel {
  /** For the command line; in angle brackets when the file is not here. */
  readonly path: string;
  readonly files: ModelFiles["shards"];
  /** Undefined when the file is not here. */
  readonly model: GgufModel | undefined;
}

/** Finds models and reads their headers, with messages that name the profile's key. */
export class ModelReader {
  readonly missing: string[] = [];
  readonly #profile: Profile;
  readonly #paths: Paths;
  readonly #lacking: "refuse" | "mark";

  constructor(profile: Profile, paths: Paths, lacking: "refuse" | "mark") {
    this.#profile = profile;
    this.#paths = paths;
    this.#lacking = lacking;
  }

  async read(key: string, ref: ModelRef): Promise<ProfileModel> {
    const at = this.#placeOf(key);
    try {
      const files = await findModel(ref, this.#options(at));
      const [first] = files.shards;
      if (first === undefined) throw new Error("a model without files");
      return { path: first.path, files: files.shards, model: await readModel(first.path) };
    } catch (error) {
      if (!(error instanceof LlmctlError)) throw error;
      if (error.code !== "model-missing" || this.#lacking === "refuse") throw placedAt(error, at);
      this.missing.push(describeInLine(error));
      return { path: `<${describeRef(ref)}>`, files: [], model: undefined };
    }
  }

  /** Whether a model that can be fetched is not complete on disk. */
  async lacks(key: string, ref: RemoteModelRef): Promise<boolean> {
    return !("files" in (await searchModel(ref, this.#options(this.#placeOf(key)))));
  }

  /** @param key Such as `draft.model` or `lora.0`. */
  #placeOf(key: string): string {
    return this.#profile.at(...key.split(".").map((part) => (/^\d+$/.test(part) ? Number(part) : part)));
  }

  #options(at: string): FindOptions {
    return { ...findOptions(this.#profile, this.#paths), at };
  }
}

function describeRef(ref: ModelRef): string {
  if (typeof ref === "string") return basename(ref);
  return "url" in ref ? posix.basename(new URL(ref.url).pathname) : `${ref.hf}:${ref.quant ?? ref.file}`;
}

/** The rooms that read files know their path; a person also wants to know which key named it. */
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
