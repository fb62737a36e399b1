import { existsSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { LlmctlError } from "../../base/errors.ts";
import type { Fix } from "../../base/fix.ts";
import { findPaths, type Paths } from "../../base/files/paths.ts";
import { printableLine } from "../../base/text/printable.ts";
import { createProfile, profileExists } from "../../profiles/change-profile.ts";
import { findAll, findProfile } from "../../profiles/find.ts";
import type { LoadOptions } from "../../profiles/load.ts";
import { profileNamePattern } from "../../base/text/profile-name.ts";
import { quote } from "../../profiles/yaml/quote-value.ts";
import type { ModelRef } from "../../profiles/schema/schema.ts";
import { type NewProfile, newProfileText } from "../../profiles/schema/new-profile-text.ts";
import { makeSource, type SourceText } from "../../profiles/yaml/located.ts";
import { askFor, canAsk } from "../screen/ask.ts";
import { findLoadOptions } from "../options/context.ts";
import { parseModelArgument } from "../options/model-argument.ts";
import { paint } from "../screen/paint.ts";
import { ensureSchemaFile } from "./schema-file.ts";
import { print, printError } from "../screen/print.ts";

export interface NewOptions {
  readonly extends?: string;
  readonly model?: string;
  readonly draft?: string;
  readonly ctxSize?: number;
  readonly port?: number | "auto";
  readonly description?: string;
  /** Write it to `./profiles` instead of the user's own folder. */
  readonly here: boolean;
}

/** Writes a new profile; on a terminal it asks for what the options leave out. */
export async function profileNew(givenName: string | undefined, given: NewOptions): Promise<void> {
  const paths = findPaths();
  const load = findLoadOptions(paths);
  if (given.extends !== undefined && given.model !== undefined) {
    throw new LlmctlError("usage", "--extends and --model exclude each other", {
      exit: "usage",
      fix: 'leave --model out, and set the model afterwards ("profile set")',
    });
  }
  const folder = given.here ? resolve("profiles") : join(paths.config, "profiles");
  const source = await (givenName === undefined ? askForName(folder) : newSource(givenName, folder));
  const options = await complete(given, load);
  await writeNew(source, await toProfile(source, options, given.here), { paths, load });
  print(`wrote ${printableLine(source.path)}\n`);
  await noteOthers(source, load);
  print(`next: llmctl profile edit ${source.name}, llmctl check ${source.name}, llmctl up ${source.name}\n`);
}

/** Its file and its text, which are not written yet. @throws as {@link extendProfile}. */
export async function planExtension(name: string, paths: Paths): Promise<{ source: SourceText; text: string }> {
  const source = await newSource(name, join(paths.config, "profiles"));
  return { source, text: newProfileText({ schema: await ensureSchemaFile(paths, source.path), extends: name }) };
}

/** Writes a profile of the user that extends another. @returns its path. @throws LlmctlError as `createProfile`. */
export async function extendProfile(name: string, paths: Paths, load: LoadOptions): Promise<SourceText> {
  const source = await newSource(name, join(paths.config, "profiles"));
  await writeNew(source, { extends: name }, { paths, load });
  return source;
}

async function writeNew(
  source: SourceText,
  profile: Omit<NewProfile, "schema">,
  { paths, load }: { readonly paths: Paths; readonly load: LoadOptions },
): Promise<void> {
  await createProfile(source, newProfileText({ schema: await ensureSchemaFile(paths, source.path), ...profile }), load);
}

/** @throws LlmctlError `profile-name`, `profile-exists`. */
async function newSource(name: string, folder: string): Promise<SourceText> {
  if (!profileNamePattern.test(name)) {
    throw new LlmctlError("profile-name", `${quote(name)} cannot be a profile's name`, {
      exit: "config",
      fix: "use 1 to 64 of a-z, 0-9, dot, dash and underscore, and start with a letter or a digit",
    });
  }
  const cwd = process.cwd();
  const [there] = await findAll(name, [folder]);
  if (there !== undefined) throw profileExists(makeSource(name, there, cwd));
  return makeSource(name, join(folder, `${name}.yaml`), cwd);
}

function askForName(folder: string): Promise<SourceText> {
  if (!canAsk()) throw missing("the new profile has no name", "give it one, with --extends PROFILE or --model MODEL");
  return askFor("name of the profile: ", (answer) => newSource(answer, folder));
}

/** Asks for the model or the profile to extend; with a model also for the settings that most people want. */
async function complete(given: NewOptions, load: LoadOptions): Promise<NewOptions> {
  if (given.extends !== undefined || given.model !== undefined) return given;
  if (!canAsk())
    throw missing("the new profile has no model", "add --extends PROFILE, or --model FILE or hf:owner/repo:quant");
  const start = await askFor("start from (a profile's name, a GGUF file, or hf:owner/repo:quant): ", (answer) =>
    readStart(answer, load),
  );
  if (start.extends !== undefined) return { ...given, ...start };
  const draft = given.draft ?? (await askFor("draft model (Enter for none): ", readModelOrNone));
  const ctxSize = given.ctxSize ?? (await askFor("context in tokens (Enter for the model's own): ", readCountOrNone));
  const port = given.port ?? (await askFor("port (Enter for a free one at each start): ", readPortOrNone));
  return {
    ...given,
    ...start,
    ...(draft === undefined ? {} : { draft }),
    ...(ctxSize === undefined ? {} : { ctxSize }),
    ...(port === undefined ? {} : { port }),
  };
}

function missing(message: string, fix: Fix): LlmctlError {
  return new LlmctlError("usage", message, { exit: "usage", fix });
}

async function readStart(answer: string, load: LoadOptions): Promise<Pick<NewOptions, "extends" | "model">> {
  if (answer === "")
    throw missing("a profile needs one of them", { before: "", run: ["profile", "list"], after: "lists the profiles" });
  if (profileNamePattern.test(answer) && (await findAll(answer, load.folders)).length > 0) return { extends: answer };
  if (!/[/:]|\.gguf$/i.test(answer)) await findProfile(answer, load.folders, process.cwd());
  readModel(answer);
  return { model: answer };
}

function readModelOrNone(answer: string): string | undefined {
  if (answer === "") return undefined;
  readModel(answer);
  return answer;
}

function readCountOrNone(answer: string): number | undefined {
  if (answer === "") return undefined;
  if (!/^\d{1,9}$/.test(answer)) throw missing(`${quote(answer)} is no number of tokens`, "such as 16384");
  return Number(answer);
}

function readPortOrNone(answer: string): number | undefined {
  if (answer === "") return undefined;
  const port = Number(answer);
  if (!/^\d{1,5}$/.test(answer) || port < 1 || port > 65535)
    throw missing(`${quote(answer)} is no port`, "from 1 to 65535");
  return port;
}

/** @throws LlmctlError `bad-model-name`. */
function readModel(text: string): ModelRef {
  const model = parseModelArgument(text);
  const isPath = typeof model === "string";
  if (model instanceof URL) return { url: text };
  if (isPath || "url" in model) return model;
  if (model.quant !== undefined) return { hf: model.hf, quant: model.quant };
  if (model.file !== undefined) return { hf: model.hf, file: model.file };
  throw badModel(text, "names no quant", `write ${text}:Q4_K_M, or another quant that the repository has`);
}

function badModel(text: string, why: string, fix: string): LlmctlError {
  return new LlmctlError("bad-model-name", `${quote(text)} ${why}`, { exit: "usage", fix });
}

async function toProfile(source: SourceText, options: NewOptions, here: boolean): Promise<Omit<NewProfile, "schema">> {
  const { description, ctxSize, port } = options;
  const place = (text: string) => placeModel(readModel(text), source, here);
  return {
    ...(description === undefined ? {} : { description }),
    ...(options.extends === undefined ? {} : { extends: options.extends }),
    ...(options.model === undefined ? {} : { model: place(options.model) }),
    ...(options.draft === undefined ? {} : { draft: place(options.draft) }),
    ...(ctxSize === undefined ? {} : { ctxSize }),
    ...(port === undefined ? {} : { port }),
  };
}

/** A profile of a project names a file of the project by a relative path, so that the project can be moved. */
function placeModel(model: ModelRef, source: SourceText, here: boolean): ModelRef {
  if (typeof model !== "string") return model;
  const path = resolve(model);
  if (!existsSync(path)) printError(`${paint("yellow", "note:")} there is no file "${printableLine(path)}" yet\n`);
  const isInside = !relative(process.cwd(), path).startsWith("..");
  return here && isInside ? relative(dirname(source.path), path) : path;
}

/** Prints a note for each profile of the same name that hides the new one, or is hidden by it. */
async function noteOthers(source: SourceText, load: LoadOptions): Promise<void> {
  const all = await findAll(source.name, load.folders);
  const index = all.indexOf(source.path);
  const note = (text: string) => printError(`${paint("yellow", "note:")} ${printableLine(text)}\n`);
  for (const path of all.slice(0, index)) note(`${path} is found before it here`);
  for (const path of all.slice(index + 1)) note(`it is found before ${path}`);
}
