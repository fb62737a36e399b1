import { type LocalOptions, mounts } from "./compose.ts";
import {
  apiKeysPath,
  containerEnv,
  containerPort,
  type ContainerSpec,
  drainCommand,
  type Gpu,
  headLines,
  healthCommand,
  seconds,
  startupSeconds,
  stopMarginSeconds,
} from "./container.ts";
import { quote } from "./unit.ts";

/** For the image, which has several GB with CUDA. */
const pullSeconds = 900;

/**
 * Text of a `.container` file, from which Podman makes a service of the user who starts it.
 * @see podman-systemd.unit(5); Podman 5 or later
 */
export function renderQuadlet(spec: ContainerSpec, options: Pick<LocalOptions, "models">): string {
  const sections = [unitSection(spec), containerSection(spec, options), serviceSection(spec), ["[Install]", "WantedBy=default.target"]];
  return `${sections.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

function unitSection(spec: ContainerSpec): string[] {
  const head = headLines(spec, [
    `Save as ~/.config/containers/systemd/${containerName(spec)}.container, then: systemctl --user daemon-reload`,
    ...(spec.apiKeyFile === undefined ? [] : [`Needs: podman secret create ${containerName(spec)}-api-keys ${spec.apiKeyFile}`]),
    ...spec.secretEnv.map((key) => `Needs: podman secret create --env ${containerName(spec)}-${key} ${key}`),
  ]);
  return [
    ...head.map((line) => `# ${line}`),
    "[Unit]",
    `Description=llmctl ${spec.name} in a container`,
    "Wants=network-online.target",
    "After=network-online.target",
  ];
}

function containerName({ name }: ContainerSpec): string {
  return `llmctl-${name}`;
}

function containerSection(spec: ContainerSpec, options: Pick<LocalOptions, "models">): string[] {
  const { probes, publish } = spec;
  const host = publish.host.includes(":") ? `[${publish.host}]` : publish.host;
  return [
    "[Container]",
    `ContainerName=${containerName(spec)}`,
    `Image=${spec.image}`,
    `Exec=${spec.args.map(word).join(" ")}`,
    ...Object.entries(containerEnv(spec)).map(([key, value]) => `Environment=${quote(`${key}=${value}`)}`),
    ...secrets(spec),
    ...mounts(spec, options).map(([source, target]) => `Volume=${quote(`${source}:${target}:ro`)}`),
    `PublishPort=${host}:${publish.port}:${containerPort}`,
    // The user's own number inside, too: not root, and able to read what the user can.
    "UserNS=keep-id",
    "ReadOnly=true",
    "DropCapability=all",
    "NoNewPrivileges=true",
    ...devices(spec.gpu),
    ...(spec.mlock ? ["Ulimit=memlock=-1:-1"] : []),
    "Notify=healthy",
    `HealthCmd=${healthCommand.join(" ")}`,
    `HealthInterval=${seconds(probes.intervalMs)}s`,
    `HealthTimeout=${seconds(probes.timeoutMs)}s`,
    `HealthRetries=${probes.failures}`,
    // While it loads: never a reason to kill it.
    `HealthStartupCmd=${healthCommand.join(" ")}`,
    "HealthStartupInterval=5s",
    "HealthStartupRetries=0",
    `StopTimeout=${stopMarginSeconds}`,
  ];
}

function secrets(spec: ContainerSpec): string[] {
  const keys = spec.apiKeyFile === undefined ? [] : [`Secret=${containerName(spec)}-api-keys,type=mount,target=${apiKeysPath}`];
  return [...keys, ...spec.secretEnv.map((key) => `Secret=${containerName(spec)}-${key},type=env,target=${key}`)];
}

function devices(gpu: Gpu): string[] {
  switch (gpu.kind) {
    case "none":
      return [];
    case "cuda":
      return Array.from({ length: gpu.count }, (_, index) => `AddDevice=nvidia.com/gpu=${index}`);
    case "rocm":
      return ["AddDevice=/dev/kfd", "AddDevice=/dev/dri", "GroupAdd=keep-groups"];
    case "vulkan":
      return ["AddDevice=/dev/dri", "GroupAdd=keep-groups"];
  }
}

function serviceSection(spec: ContainerSpec): string[] {
  const drain = ["/usr/bin/podman", "exec", containerName(spec), ...drainCommand(spec, 0)];
  return [
    "[Service]",
    "Restart=on-failure",
    `TimeoutStartSec=${startupSeconds(spec.probes) + pullSeconds}`,
    // Before Podman's own command, which stops the container.
    `ExecStop=-${drain.map(word).join(" ")}`,
    `TimeoutStopSec=${seconds(spec.stopTimeoutMs) + 2 * stopMarginSeconds}`,
  ];
}

/** One word of a command, in which systemd replaces nothing. */
function word(text: string): string {
  return quote(text).replaceAll("$", "$$$$");
}
