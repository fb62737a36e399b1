import { writeYaml } from "../base/text/yaml-text.ts";
import {
  apiKeysPath,
  containerEnv,
  containerPort,
  type ContainerSpec,
  drainCommand,
  type Gpu,
  headLines,
  healthCommand,
  modelsFolder,
  scratchFolder,
  seconds,
  startupSeconds,
  stopMarginSeconds,
} from "./container.ts";

/** The user that runs the server and the place of the models, for a container on one machine. */
export interface LocalOptions {
  /** The user whose files the container reads. */
  readonly uid: number;
  readonly gid: number;
  /** A folder that holds the models under the names of the spec; undefined mounts each file from its own place. */
  readonly models?: string;
}

/** The mounts of the container, host path first. */
export function mounts({ files }: ContainerSpec, { models }: Pick<LocalOptions, "models">): [string, string][] {
  if (models !== undefined) return [[models, modelsFolder]];
  return files.flatMap(({ name, source }) =>
    source === undefined ? [] : [[source, `${modelsFolder}/${name}`] as [string, string]],
  );
}

/** YAML of a Compose project with one service. */
export function renderCompose(spec: ContainerSpec, options: LocalOptions): string {
  const head = headLines(spec, [
    "Start: docker compose -f FILE up --detach --wait",
    ...spec.secretEnv.map((key) => `Needs ${key} in the environment.`),
  ]);
  const project = {
    name: `llmctl-${spec.name.replaceAll(".", "-")}`,
    services: { "llama-server": service(spec, options) },
    ...(spec.apiKeyFile === undefined ? {} : { secrets: { "api-keys": { file: escape(spec.apiKeyFile) } } }),
  };
  return `${head.map((line) => `${line}\n`).join("")}${writeYaml(project)}`;
}

function service(spec: ContainerSpec, options: LocalOptions): object {
  const { args, failures, image, mlock } = { ...spec, ...spec.probes };
  const [drain = "", ...drainArgs] = drainCommand(spec, 0);
  return {
    image,
    command: args.map(escape),
    environment: {
      ...Object.fromEntries(Object.entries(containerEnv(spec)).map(([key, value]) => [key, escape(value)])),
      ...Object.fromEntries(spec.secretEnv.map((key) => [key, `\${${key}:?}`])),
    },
    user: `${options.uid}:${options.gid}`,
    read_only: true,
    tmpfs: [scratchFolder],
    cap_drop: ["ALL"],
    security_opt: ["no-new-privileges:true"],
    ports: [{ host_ip: spec.publish.host, published: spec.publish.port, target: containerPort }],
    volumes: mounts(spec, options).map(([source, target]) => ({
      type: "bind",
      source: escape(source),
      target: escape(target),
      read_only: true,
      bind: { create_host_path: false },
    })),
    ...(spec.apiKeyFile === undefined ? {} : { secrets: [{ source: "api-keys", target: apiKeysPath }] }),
    ...gpuKeys(spec.gpu),
    ...(mlock ? { ulimits: { memlock: -1 } } : {}),
    healthcheck: {
      test: ["CMD", ...healthCommand],
      interval: `${seconds(spec.probes.intervalMs)}s`,
      timeout: `${seconds(spec.probes.timeoutMs)}s`,
      retries: failures,
      start_period: `${startupSeconds(spec.probes)}s`,
    },
    restart: "on-failure",
    stop_grace_period: `${stopMarginSeconds}s`,
    pre_stop: [{ command: [drain, ...drainArgs].map(escape) }],
  };
}

function gpuKeys(gpu: Gpu): object {
  switch (gpu.kind) {
    case "none":
      return {};
    case "cuda":
      return {
        deploy: {
          resources: { reservations: { devices: [{ driver: "nvidia", count: gpu.count, capabilities: ["gpu"] }] } },
        },
      };
    case "rocm":
      return { devices: ["/dev/kfd", "/dev/dri"], group_add: ["video", "render"] };
    case "vulkan":
      return { devices: ["/dev/dri"], group_add: ["video", "render"] };
  }
}

/** Compose replaces `$NAME` everywhere. */
function escape(text: string): string {
  return text.replaceAll("$", "$$$$");
}
