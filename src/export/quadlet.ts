import { controlCharacter } from "../base/text/control-characters.ts";
import { quoteForShell } from "../base/text/quote-for-shell.ts";
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
import { escapeSpecifiers, quoteArgument } from "../services/unit-quoting.ts";
import { expectWritable, unwritable } from "../services/expect-writable.ts";

/** Time to pull the image, which has several GB with CUDA. */
const pullSeconds = 900;

/**
 * The text of a `.container` file, from which Podman makes a service of the user who starts it. Its words are read
 * twice: by Podman's generator, and by systemd from the output of the generator.
 * @throws LlmctlError `value-unwritable` for a value that would not survive that.
 * @see podman-systemd.unit(5); Podman 5 or later
 */
export function renderQuadlet(spec: ContainerSpec, options: Pick<LocalOptions, "models">): string {
  expectAllWritable(spec, options);
  const sections = [
    unitSection(spec),
    containerSection(spec, options),
    serviceSection(spec),
    ["[Install]", "WantedBy=default.target"],
  ];
  return `${sections.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

/** The generator writes U+0080 as an invalid byte, and systemd refuses the other characters. */
// oxlint-disable-next-line no-control-regex -- they are what it is about
const unspeakable = /[\0\u0080\p{Cs}\p{NChar}]/u;

function expectAllWritable(spec: ContainerSpec, options: Pick<LocalOptions, "models">): void {
  const { args, argKeys = [], env, places = {} } = spec;
  for (const [index, text] of args.entries()) {
    const owner = argKeys[index] ?? "an argument";
    const at = places[owner];
    // The generator would drop an empty argument with all arguments behind it, and systemd would start a new command
    // behind a single ";".
    if (text === "") throw unwritable(owner, "is empty, which a Quadlet file cannot say", at);
    if (text === ";") throw unwritable(owner, 'is ";" alone, which a Quadlet file cannot say', at);
    expectWritable({ owner, text, at }, "a Quadlet file", unspeakable);
  }
  for (const [name, text] of Object.entries(env)) {
    const owner = `env.${name}`;
    expectWritable({ owner, text, at: places[owner] }, "a Quadlet file", unspeakable);
  }
  // The generator also makes mount dependencies of these paths.
  for (const text of mounts(spec, options).flat())
    expectWritable({ owner: "the path of a model", text }, "a Quadlet file", controlCharacter);
}

function unitSection(spec: ContainerSpec): string[] {
  const head = headLines(spec, [
    `Save as ~/.config/containers/systemd/${containerName(spec)}.container, then: systemctl --user daemon-reload`,
    ...(spec.apiKeyFile === undefined
      ? []
      : [`Needs: podman secret create ${containerName(spec)}-api-keys ${quoteForShell(spec.apiKeyFile)}`]),
    ...spec.secretEnv.map((key) => `Needs: podman secret create --env ${containerName(spec)}-${key} ${key}`),
  ]);
  return [
    ...head,
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
    `Exec=${spec.args.map(quoteArgument).join(" ")}`,
    ...Object.entries(containerEnv(spec)).map(([key, value]) => `Environment=${quoteArgument(`${key}=${value}`)}`),
    ...secrets(spec),
    ...mounts(spec, options).map(mount),
    `PublishPort=${host}:${publish.port}:${containerPort}`,
    // The same user id inside the container: not root, and able to read the files of the user.
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
    // A failed check while the server loads never kills it.
    `HealthStartupCmd=${healthCommand.join(" ")}`,
    "HealthStartupInterval=5s",
    "HealthStartupRetries=0",
    `StopTimeout=${stopMarginSeconds}`,
  ];
}

/** `Volume=` knows neither quotes nor a colon in a path; `Mount=` knows the quotes of CSV. */
function mount([source, target]: readonly [string, string]): string {
  if ([source, target].every((path) => /^[\w@%+=,./-]+$/.test(path)))
    return `Volume=${escapeSpecifiers(`${source}:${target}`)}:ro`;
  const fields = ["type=bind", `source=${source}`, `destination=${target}`, "ro=true"];
  return `Mount=${quoteArgument(fields.map(csvField).join(","))}`;
}

function csvField(text: string): string {
  return /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function secrets(spec: ContainerSpec): string[] {
  const keys =
    spec.apiKeyFile === undefined ? [] : [`Secret=${containerName(spec)}-api-keys,type=mount,target=${apiKeysPath}`];
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
    // Runs before Podman's own command, which stops the container.
    `ExecStop=-${drain.map(quoteArgument).join(" ")}`,
    `TimeoutStopSec=${seconds(spec.stopTimeoutMs) + 2 * stopMarginSeconds}`,
  ];
}
