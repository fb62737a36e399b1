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
import { renderServer } from "../llama/render/render-command.ts";
import type { RenderedFlag } from "../llama/render/flag-rule.ts";

/** What computes in the image. */
const imageBackends = ["cpu", "cuda", "rocm", "vulkan"] as const;
export type ImageBackend = (typeof imageBackends)[number];

/** The models as the container will see them, each with its first shard first. */
export interface ContainerModels {
  readonly target: readonly ContainerFile[];
  readonly draft?: readonly ContainerFile[];
  /** Why drafting is off although the profile asks for it. */
  readonly draftingOff?: string;
  /** What had to be fetched beside the models, by its key: `mmproj`, `lora.0`. */
  readonly sidecars?: ReadonlyMap<string, readonly ContainerFile[]>;
}

export interface ContainerChoice {
  /** Of the release that is in the image. */
  readonly catalogue: FlagCatalogue;
  readonly release: string;
  /** Instead of the official one. */
  readonly image?: string | undefined;
  /** By the profile's devices unless told. */
  readonly backend?: ImageBackend | undefined;
  /** By the profile's devices unless told. */
  readonly gpus?: number | undefined;
}

/**
 * Says a profile as a container of llama.cpp's own image: the flags of the image's release, with the paths and the
 * address that hold inside. Reads nothing and starts nothing.
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
  const { target, draft, draftingOff, sidecars = new Map<string, readonly ContainerFile[]>() } = models;
  const rendering = renderServer(
    inside,
    {
      target: insidePath(target),
      sidecars: new Map([...sidecars].map(([key, placed]) => [key, insidePath(placed)])),
      ...(draft === undefined ? {} : { draft: insidePath(draft) }),
      ...(draftingOff === undefined ? {} : { draftingOff }),
    },
    choice.catalogue,
  );
  const { args, files } = bringFiles(rendering.flags, choice.catalogue);
  const keys = rendering.flags.map(({ key, path }) => [key, path] as const);
  const { env, secretEnv } = splitSecrets(profile);
  return {
    name,
    ...(values.description === undefined ? {} : { description: values.description }),
    image: choice.image ?? officialImage(backend, choice.release),
    args,
    argKeys: rendering.flags.flatMap((flag) => flag.args.map(() => flag.key)),
    places: Object.fromEntries(
      [...keys, ...Object.keys(env).map((one) => [`env.${one}`, ["env", one]] as const)].map(([key, path]) => [
        key,
        profile.at(...path),
      ]),
    ),
    env,
    secretEnv,
    ...(server.api_key_file === undefined ? {} : { apiKeyFile: server.api_key_file }),
    files: distinct([...target, ...(draft ?? []), ...[...sidecars.values()].flat(), ...files]),
    gpu,
    publish: { host, port: server.port === "auto" ? containerPort : server.port },
    ...patience(values),
    mlock: values.mlock === true,
    notes: [...rendering.notes.map(({ key, reason }) => `${key} is left out: ${reason}`), ...warn(values)],
  };
}

/** Newest builds of a release carry its tag; the tag without one moves with the newest release. */
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

/** Stops a number that a name only claims: a Quadlet has a line for each. */
const mostGpus = 256;

function deviceNumber(device: string): number {
  // Of a name that may be as long as a profile: the pattern would look for the end from each digit on.
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

/** Whatever else the flags name of this machine's files comes into the models' folder, too. */
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
 * What llama.cpp would take for paths in a flag's value: a comma or a colon is part of a path, but in a list, and in
 * one with scales.
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

/** What the profile takes from the environment of whoever exports it is for the environment of whoever runs it, too. */
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
  throw new LlmctlError("no-address", `"${host}" is no address that a container's port can be published on`, {
    exit: "config",
    at: profile.at("server", "host"),
    fix: "write an IP address, such as 127.0.0.1 or 0.0.0.0",
  });
}

function patience({ health, stop }: ProfileValues): Pick<ContainerSpec, "probes" | "stopTimeoutMs"> {
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
      : ["llmctl is not in the container: that it drafts is to be seen in its log, as draft acceptance"]),
    ...(raised
      ? [`priority ${priority} is not allowed in a container like this; the server says so and runs at normal priority`]
      : []),
    ...(server.slot_save_path === undefined ? [] : ["contexts that are saved last no longer than the container"]),
    ...(rpc.workers === undefined
      ? []
      : ["rpc.workers must be reachable from the container, and run the image's release of llama.cpp"]),
    ...(server.api_key_file === undefined
      ? ["without server.api_key_file, whoever reaches the address can use the server"]
      : []),
  ];
}
