import { realpath } from "node:fs/promises";
import { basename, posix, resolve } from "node:path";
import { LlmctlError } from "../../base/errors.ts";
import { findPaths, type Paths } from "../../base/files/paths.ts";
import { readModel } from "../../gguf/read-model.ts";
import { findModel, findOptions } from "../../hub/find/find-model.ts";
import { planPull } from "../../hub/download/pull-model.ts";
import { findKeyFileFault } from "../../llama/server/api-key-checks.ts";
import { hasKeyComments } from "../../llama/server/api-keys.ts";
import type { FlagCatalogue } from "../../llama/ask/flag-catalogue.ts";
import { type ContainerModels, type ImageBackend, planContainer } from "../../export/plan-container.ts";
import { findDraftingOff, judgeDraft } from "../../llama/plan/draft-decision.ts";
import { exportRelease, readReleaseCatalogue } from "../../llama/ask/release-catalogue.ts";
import { vocabRuleFromFlags } from "../../llama/draft/build-vocab-rule.ts";
import { quote } from "../../profiles/yaml/quote-value.ts";
import { listSidecars } from "../../profiles/model-refs.ts";
import type { ModelRef, Profile } from "../../profiles/schema/schema.ts";
import type { KeyPath } from "../../profiles/yaml/located.ts";
import { targetModel } from "../../profiles/target.ts";
import { renderCompose } from "../../export/compose.ts";
import type { ContainerFile, ContainerSpec } from "../../export/container.ts";
import { renderKubernetes } from "../../export/kubernetes.ts";
import type { ExportFormat } from "../../export/export-formats.ts";
import { renderQuadlet } from "../../export/quadlet.ts";
import { openProfile } from "../options/context.ts";
import { createHubAccess } from "../look/header-access.ts";

export interface ExportOptions {
  /** The release of llama.cpp in the image; by default the newest that llmctl was tested with. */
  readonly release?: string | undefined;
  readonly image?: string | undefined;
  readonly backend?: ImageBackend | undefined;
  readonly gpus?: number | undefined;
  /** The folder that holds the models; on Kubernetes the claim. */
  readonly models?: string | undefined;
  readonly replicas: number;
}

/**
 * `export FORMAT NAME`: the profile as a container of llama.cpp's own image.
 * @returns the text to print.
 * @throws LlmctlError
 */
export async function exportProfile(format: ExportFormat, nameOrPath: string, options: ExportOptions): Promise<string> {
  const paths = findPaths();
  const profile = await openProfile(nameOrPath, paths);
  const { release = exportRelease } = options;
  const catalogue = await readReleaseCatalogue(release, paths);
  checkKeys(profile, catalogue);
  const models = await placeModels(profile, paths, catalogue);
  const spec = planContainer(profile, models, { ...options, release, catalogue });
  checkName("image", spec.image, imageName);
  return render(format, spec, options);
}

/**
 * The name of an image as registries and engines take it: host, path, tag and digest. It is a word of Podman's command,
 * so it must not begin with a dash.
 */
const imageName = /^\w[\w.:/@+[\]-]*$/;
/** The name of a PersistentVolumeClaim: a DNS subdomain (RFC 1123). */
const claimName = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;

function checkName(what: string, name: string, pattern: RegExp): void {
  if (pattern.test(name)) return;
  throw new LlmctlError("bad-name", `${quote(name)} cannot be the name of a${what === "image" ? "n" : ""} ${what}`, {
    exit: "usage",
    fix: `give the name of an existing ${what}`,
  });
}

function render(format: ExportFormat, spec: ContainerSpec, { models, replicas }: ExportOptions): string {
  switch (format) {
    case "kubernetes": {
      const claim = models ?? "models";
      checkName("claim", claim, claimName);
      return renderKubernetes(spec, { replicas, claim });
    }
    case "quadlet":
      return renderQuadlet(spec, localFolder(spec, models));
    case "compose":
      return renderCompose(spec, { ...user(), ...localFolder(spec, models) });
  }
}

/** The folder of the models on this machine; without one, each file is mounted from its own place. */
function localFolder(spec: ContainerSpec, models: string | undefined): { readonly models?: string } {
  if (models !== undefined) return { models: resolve(models) };
  checkAllHere(spec);
  return {};
}

/** The user of the container: never root. */
function user(): { uid: number; gid: number } {
  const uid = process.getuid?.() ?? 0;
  return uid === 0 ? { uid: 1000, gid: 1000 } : { uid, gid: process.getgid?.() ?? uid };
}

/**
 * Checks the file of keys. It may be missing or unreadable here: the machine that runs the container has it.
 * @throws LlmctlError `api-keys-unusable`.
 */
function checkKeys(profile: Profile, catalogue: FlagCatalogue): void {
  const fault = findKeyFileFault(profile, hasKeyComments(catalogue));
  if (fault?.exit === "config") throw fault;
}

function checkAllHere({ name, files }: ContainerSpec): void {
  const absent = files.find(({ source }) => source === undefined);
  if (absent === undefined) return;
  throw new LlmctlError("model-missing", `"${absent.name}" is not on this machine, and would be mounted from it`, {
    exit: "missingFile",
    fix: { run: ["pull", name], or: `name with --models a folder that will hold it as ${absent.name}` },
  });
}

/** Finds each model on this machine, else on the Hub, and names it for the container. */
async function placeModels(profile: Profile, paths: Paths, catalogue: FlagCatalogue): Promise<ContainerModels> {
  const { draft } = profile.values;
  const target = await placeModel(profile, ["model"], targetModel(profile), paths);
  const sidecars = await placeSidecars(profile, paths);
  const placed = { target, ...(sidecars.size === 0 ? {} : { sidecars }) };
  if (draft === undefined) return placed;
  const drafting =
    draft.model === undefined ? undefined : await placeModel(profile, ["draft", "model"], draft.model, paths);
  const draftingOff = await judgePlaced(profile, { target, draft: drafting }, catalogue);
  if (draftingOff !== undefined) return { ...placed, draftingOff };
  return { ...placed, ...(drafting === undefined ? {} : { draft: drafting }) };
}

/** The projector and the adapters that are references; plain paths are mounted under the name that the flags give. */
async function placeSidecars(profile: Profile, paths: Paths): Promise<Map<string, PlacedFile[]>> {
  const sidecars = new Map<string, PlacedFile[]>();
  for (const { key, ref } of listSidecars(profile.values)) {
    if (typeof ref !== "string") sidecars.set(key.join("."), await placeModel(profile, key, ref, paths));
  }
  return sidecars;
}

type PlacedFile = ContainerFile & { readonly path?: string };

async function placeModel(profile: Profile, key: KeyPath, ref: ModelRef, paths: Paths): Promise<PlacedFile[]> {
  const where = { ...findOptions(profile, paths), at: profile.at(...key) };
  if (typeof ref === "string") {
    const { shards } = await findModel(ref, where);
    return Promise.all(shards.map(({ path, sizeBytes }) => placeFile(path, sizeBytes, basename(path))));
  }
  const access = createHubAccess();
  const plan = await planPull(ref, {
    ...where,
    ...access,
    onProgress: (event) => event.kind === "retry" && access.onProgress(event),
  });
  const nameOf = (path: string) => ("url" in ref ? basename(path) : posix.join(ref.hf, basename(path)));
  if (plan.kind === "fetch")
    return plan.files.map((file) => ({
      name: nameOf("path" in file ? file.path : file.name),
      sizeBytes: file.sizeBytes,
    }));
  return Promise.all(plan.files.shards.map(({ path, sizeBytes }) => placeFile(path, sizeBytes, nameOf(path))));
}

/** A file of the Hub's cache is a link, which would be broken in the container. */
async function placeFile(path: string, sizeBytes: number, name: string): Promise<PlacedFile> {
  return { name, source: await realpath(path), sizeBytes, path };
}

interface PlacedPair {
  readonly target: readonly PlacedFile[];
  readonly draft: readonly PlacedFile[] | undefined;
}

/**
 * Why the container is to serve without drafting; undefined where it may draft, or a model is not on this machine.
 * @throws LlmctlError `draft-mismatch` where the profile does not want to serve without drafting.
 */
async function judgePlaced(
  profile: Profile,
  { target, draft }: PlacedPair,
  catalogue: FlagCatalogue,
): Promise<string | undefined> {
  const [targetPath, draftPath] = [target[0]?.path, draft?.[0]?.path];
  if (targetPath === undefined || (draft !== undefined && draftPath === undefined)) return undefined;
  const verdict = judgeDraft(profile, {
    target: await readModel(targetPath),
    draft: draftPath === undefined ? undefined : await readModel(draftPath),
    rule: vocabRuleFromFlags((flag) => catalogue.has(flag)),
  });
  return findDraftingOff(profile, verdict);
}
