import { isIP } from "node:net";
import { basename } from "node:path";
import { LlmctlError } from "../base/errors.ts";
import { hasLogin, isSecret } from "../base/text/secrets.ts";
import { parseDuration } from "../base/text/units.ts";
import { isSocketHost } from "../profiles/rules/host-kinds.ts";
import type { Profile, ProfileValues } from "../profiles/schema/schema.ts";
import {
  apiKeysPath,
  type ContainerFile,
  containerPort,
  type ContainerSpec,
  type Gpu,
  modelsFolder,
  scratchFolder,
} from "./container.ts";
import type { FlagCatalogue } from "../llama/ask/flag-catalogue.ts";
import type { FlagEntry } from "../llama/ask/help-text.ts";
import type { ModelPaths, RenderedFlag } from "../llama/render/flag-rule.ts";
import { renderServer } from "../llama/render/render-command.ts";

/** The backends of llama.cpp's images. */
const imageBackends = ["cpu", "cuda", "rocm", "vulkan"] as const;
export type ImageBackend = (typeof imageBackends)[number];

/** The models as the container will see them, each with its first shard first. */
export interface ContainerModels {
  readonly target: readonly ContainerFile[];
  readonly draft?: readonly ContainerFile[];
  /** Why drafting is off although the profile asks for it. */
  readonly draftingOff?: string;
  /** The projector and the adapters that are no plain paths, by key: `mmproj`, `lora.0`. */
  readonly sidecars?: ReadonlyMap<string, readonly ContainerFile[]>;
}

export interface ContainerChoice {
  /** The flags of the release that is in the image. */
  readonly catalogue: FlagCatalogue;
  readonly release: string;
  /** In place of the official image. */
  readonly image?: string | undefined;
  /** Chosen by the profile's devices unless given. */
  readonly backend?: ImageBackend | undefined;
  /** As many as the profile's devices need unless given. */
  readonly gpus?: number | undefined;
}

/**
 * Plans a container of llama.cpp's own image for a profile: the flags of the image's release, with the paths and the
 * address inside the container. Reads nothing and starts nothing.
 * @throws LlmctlError `profile-unrenderable`, `device-not-in-image`, `no-address` or `file-names-clash`.
 * @see llama.cpp docs/docker.md
 */
export function planContainer(profile: Profile, models: ContainerModels, choice: ContainerChoice): ContainerSpec {
  const { name, values } = profile;
  const { server } = values;
  const backend = choice.backend ?? chooseBackend(values);
  const host = publishedHost(profile);
  const gpu = chooseGpu(profile, backend, choice.gpus);
  const inside = { ...profile, values: { ...values, server: insideServer(server) } };
  const { flags, notes } = renderServer(inside, insidePaths(models), choice.catalogue);
  const { args, files } = bringFiles(flags, choice.catalogue);
  const { env, secretEnv } = splitSecrets(profile);
  return {
    name,
    ...(values.description === undefined ? {} : { description: values.description }),
    image: choice.image ?? officialImage(backend, choice.release),
    args,
    argKeys: flags.flatMap((flag) => flag.args.map(() => flag.key)),
    places: listPlaces(profile, flags, env),
    env,
    secretEnv,
    ...(server.api_key_file === undefined ? {} : { apiKeyFile: server.api_key_file }),
    files: distinct([...listFiles(models), ...files]),
    gpu,
    publish: { host, port: server.port === "auto" ? containerPort : server.port },
    ...probeSettings(values),
    mlock: values.mlock === true,
    notes: [...notes.map(({ key, reason }) => `${key} is left out: ${reason}`), ...warn(values)],
  };
}

/** The files that the flags name, as the container sees them. */
function insidePaths({ target, draft, draftingOff, sidecars }: ContainerModels): ModelPaths {
  return {
    target: insidePath(target),
    sidecars: new Map([...(sidecars ?? [])].map(([key, placed]) => [key, insidePath(placed)])),
    ...(draft === undefined ? {} : { draft: insidePath(draft) }),
    ...(draftingOff === undefined ? {} : { draftingOff }),
  };
}

function listFiles({ target, draft = [], sidecars }: ContainerModels): ContainerFile[] {
  return [...target, ...draft, ...[...(sidecars?.values() ?? [])].flat()];
}

/** Where the profile sets each key and each variable, for errors. */
function listPlaces(
  profile: Profile,
  flags: readonly RenderedFlag[],
  env: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const keys = flags.map(({ key, path }) => [key, profile.at(...path)]);
  const variables = Object.keys(env).map((name) => [`env.${name}`, profile.at("env", name)]);
  return Object.fromEntries([...keys, ...variables]);
}

/** The tag with the release stays with it; the one without a release moves to each new one. */
function officialImage(backend: ImageBackend, release: string): string {
  return `ghcr.io/ggml-org/llama.cpp:server${backend === "cpu" ? "" : `-${backend}`}-${release}`;
}

/** Devices of the container's own machine. */
function listDevices({ devices, draft }: ProfileValues): readonly string[] {
  return [...(devices ?? []), ...(draft?.devices ?? [])].filter((device) => device !== "none" && !/^RPC/i.test(device));
}

const devicePrefixes = { cpu: undefined, cuda: "CUDA", rocm: "ROCm", vulkan: "Vulkan" } as const;

function chooseBackend(values: ProfileValues): ImageBackend {
  const [device] = listDevices(values);
  if (device === undefined) return values.gpu_layers === 0 ? "cpu" : "cuda";
  return imageBackends.find((backend) => isOf(backend, device)) ?? "cuda";
}

function isOf(backend: ImageBackend, device: string): boolean {
  const prefix = devicePrefixes[backend];
  return prefix !== undefined && device.startsWith(prefix);
}

/** Devices are numbered from 0 in the container, so `CUDA1` needs two. */
function chooseGpu(profile: Profile, backend: ImageBackend, count: number | undefined): Gpu {
  const devices = listDevices(profile.values);
  const foreign = devices.find((device) => !isOf(backend, device));
  if (foreign !== undefined) {
    throw new LlmctlError("device-not-in-image", `the image for ${backend} has no device "${foreign}"`, {
      exit: "config",
      at: profile.at("devices"),
      fix: "choose another --backend, or export a profile without devices",
    });
  }
  if (backend === "cpu") return { kind: "none" };
  const needed = count ?? 1 + Math.max(0, ...devices.map(deviceNumber));
  if (needed <= mostGpus) return { kind: backend, count: needed };
  throw new LlmctlError("too-many-gpus", `${needed} GPUs are more than the ${mostGpus} that a container can be given`, {
    exit: "config",
    at: profile.at("devices"),
    fix: "name devices that there are, or give their number with --gpus",
  });
}

/** Bounds a number that comes from the name of a device: a Quadlet has a line for each GPU. */
const mostGpus = 256;

function deviceNumber(device: string): number {
  // Only the start: a name may be as long as a profile, and the pattern looks for its end from each digit on.
  return Number(/\d+$/.exec(device.slice(0, 40))?.[0] ?? 0);
}

function insideServer(server: ProfileValues["server"]): ProfileValues["server"] {
  return {
    ...server,
    host: "0.0.0.0",
    port: containerPort,
    ...(server.slot_save_path === undefined ? {} : { slot_save_path: scratchFolder }),
    ...(server.api_key_file === undefined ? {} : { api_key_file: apiKeysPath }),
  };
}

function insidePath([first]: readonly ContainerFile[]): string {
  if (first === undefined) throw new Error("a model without files");
  return `${modelsFolder}/${first.name}`;
}

/** Brings all other files of this machine that the flags name into the models' folder. */
function bringFiles(
  flags: readonly RenderedFlag[],
  catalogue: FlagCatalogue,
): { args: string[]; files: ContainerFile[] } {
  const files: ContainerFile[] = [];
  const bring = (path: string): string => {
    if (path === apiKeysPath || path === scratchFolder || path.startsWith(`${modelsFolder}/`)) return path;
    files.push({ name: basename(path), source: path, sizeBytes: 0 });
    return `${modelsFolder}/${basename(path)}`;
  };
  const args = flags.flatMap(({ args: [flag = "", ...words] }) => {
    const entry = catalogue.find(flag)?.entry;
    return [flag, ...words.map((word) => (entry === undefined ? word : bringNamed(word, entry, bring)))];
  });
  return { args, files };
}

/**
 * Brings the paths in a flag's value as llama.cpp reads them: commas separate them only in a list, and a colon
 * separates a scale only in a list with scales; everywhere else both are part of a path.
 */
function bringNamed(word: string, { hints, help }: FlagEntry, bring: (path: string) => string): string {
  if (!hints.some((hint) => /FNAME|FILE|PATH/.test(hint))) return word;
  const bringOne = (one: string) => (one.startsWith("/") ? bring(one) : one);
  if (!help.includes("comma-separated")) return bringOne(word);
  const isScaled = hints.some((hint) => hint.includes(":SCALE"));
  const items = word.split(",").map((item) => {
    const colon = isScaled ? item.lastIndexOf(":") : -1;
    return colon < 0 ? bringOne(item) : bringOne(item.slice(0, colon)) + item.slice(colon);
  });
  return items.join(",");
}

function distinct(files: readonly ContainerFile[]): ContainerFile[] {
  const byName = new Map<string, ContainerFile>();
  for (const file of files) {
    const other = byName.get(file.name);
    if (other !== undefined && other.source !== file.source) {
      throw new LlmctlError("file-names-clash", `two files would be "${file.name}" in the container`, {
        exit: "config",
        at: `${other.source} and ${file.source}`,
        fix: "rename one of them",
      });
    }
    byName.set(file.name, file);
  }
  return [...byName.values()];
}

/** A variable that the profile takes from the environment at the export is taken from the environment at the start. */
function splitSecrets({ values, envFromOutside = [] }: Profile): { env: Record<string, string>; secretEnv: string[] } {
  const entries = Object.entries(values.env);
  const isOutside = (key: string) => isSecret(key) || hasLogin(values.env[key] ?? "") || envFromOutside.includes(key);
  return {
    env: Object.fromEntries(entries.filter(([key]) => !isOutside(key))),
    secretEnv: entries.map(([key]) => key).filter(isOutside),
  };
}

function publishedHost(profile: Profile): string {
  const { host } = profile.values.server;
  if (host === "localhost") return "127.0.0.1";
  // A zone is one of this machine's interfaces; container runtimes take none.
  if (isIP(host) !== 0 && !host.includes("%")) return host;
  if (isSocketHost(host)) {
    throw new LlmctlError("no-address", "a container's port cannot be published on a unix socket", {
      exit: "config",
      at: profile.at("server", "host"),
      fix: "export a profile whose server.host is an IP address, such as 127.0.0.1",
    });
  }
  throw new LlmctlError("no-address", `a container's port cannot be published on "${host}": it is not an IP address`, {
    exit: "config",
    at: profile.at("server", "host"),
    fix: "write an IP address, such as 127.0.0.1 or 0.0.0.0",
  });
}

function probeSettings({ health, stop }: ProfileValues): Pick<ContainerSpec, "probes" | "stopTimeoutMs"> {
  return {
    probes: {
      stallTimeoutMs: readDuration(health.stall_timeout),
      intervalMs: readDuration(health.interval),
      timeoutMs: readDuration(health.timeout),
      failures: health.failures,
      hangTimeoutMs: readDuration(health.hang_timeout),
    },
    stopTimeoutMs: readDuration(stop.timeout),
  };
}

function readDuration(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new Error(`a checked profile holds the duration "${text}"`);
  return ms;
}

function warn({ priority, server, draft, rpc }: ProfileValues): string[] {
  const raised = priority !== undefined && !["low", "normal"].includes(priority);
  return [
    ...(draft === undefined
      ? []
      : ["llmctl is not in the container: whether the server drafts is only in its log, as draft acceptance"]),
    ...(raised
      ? [`priority ${priority} is not permitted in a container; the server logs that and runs at normal priority`]
      : []),
    ...(server.slot_save_path === undefined ? [] : ["saved contexts are lost with the container"]),
    ...(rpc.workers === undefined
      ? []
      : ["rpc.workers must be reachable from the container, and run the image's release of llama.cpp"]),
    ...(server.api_key_file === undefined
      ? ["without server.api_key_file, whoever reaches the address can use the server"]
      : []),
  ];
}
