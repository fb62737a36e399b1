import type { Problem } from "../../base/errors.ts";
import type { Fix } from "../../base/fix.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import { explainFailedRun } from "./failed-run.ts";
import { runBriefly } from "./run-briefly.ts";

/** A device that a build can compute on, other than the processor. */
export interface Device {
  /** The name for `--device`: `CUDA0`, `Vulkan1`, `RPC0`. */
  readonly name: string;
  readonly description: string;
  readonly totalMib: number;
  readonly freeMib: number;
}

/** A CUDA build first wakes the driver, which takes seconds on some machines. */
const listTimeoutMs = 60_000;

/**
 * The devices of this machine that a build can use.
 * @throws LlmctlError of `explainFailedRun` when the binary cannot list them.
 */
export async function listDevices(file: string, env: Readonly<Record<string, string>>): Promise<Device[]> {
  const result = await runBriefly(file, ["--list-devices"], { env, timeoutMs: listTimeoutMs });
  if (result.failed) throw await explainFailedRun(file, "list its devices", env, result);
  return parseDevices(result.stdout);
}

/**
 * Parses the output of `--list-devices`, which all builds print alike. Without devices nothing, or `(none)`, follows
 * the first line.
 * @see `common_print_available_devices` in llama.cpp's common/arg.cpp
 */
export function parseDevices(text: string): Device[] {
  return text.split("\n").slice(0, mostLines).flatMap(parseDevice);
}

/** Limits a list without end: each device of a profile is compared with all of its lines. */
const mostLines = 4096;

/** Two steps that look at each character once: a single pattern takes cubic time on a line of colons. */
function parseDevice(line: string): Device[] {
  const memory = / \((\d{1,9}) MiB, (\d{1,9}) MiB free\)\r?$/.exec(line);
  const colon = line.indexOf(": ", "  ?".length);
  if (memory === null || !line.startsWith("  ") || colon === -1 || colon >= memory.index) return [];
  return [
    {
      name: line.slice(2, colon),
      description: line.slice(colon + 2, memory.index),
      totalMib: Number(memory[1]),
      freeMib: Number(memory[2]),
    },
  ];
}

/** A key of a profile that names devices. */
export interface DeviceKey {
  readonly path: readonly string[];
  readonly names: readonly string[];
}

/** The devices that a profile names, by key. */
export function namedDevices({ devices, draft }: Profile["values"]): DeviceKey[] {
  return [
    ...(devices === undefined ? [] : [{ path: ["devices"], names: devices }]),
    ...(draft?.devices === undefined ? [] : [{ path: ["draft", "devices"], names: draft.devices }]),
  ];
}

/** A device that a profile names and the build does not have here. */
interface MissingDevice extends Required<Problem> {
  readonly name: string;
}

/**
 * Every named device that the build does not have here. llama.cpp ignores the case of names, and `none` means the
 * processor alone.
 */
export function findMissingDevices(
  profile: Profile,
  { path, names }: DeviceKey,
  devices: readonly Device[],
): MissingDevice[] {
  const known = new Set(["none", ...devices.map(({ name }) => name.toLowerCase())]);
  return names.flatMap((name, index) =>
    known.has(name.toLowerCase())
      ? []
      : [
          {
            name,
            message: `this build has no device "${name}" here: ${describeDevices(devices)}`,
            at: profile.at(...path, index),
            fix: adviseDevice(name, devices),
          },
        ],
  );
}

function describeDevices(devices: readonly Device[]): string {
  return devices.length === 0
    ? "it has only the processor"
    : `it has ${devices.map(({ name, description }) => `${name} (${description})`).join(", ")}`;
}

function adviseDevice(name: string, devices: readonly Device[]): Fix {
  const kind = /^[A-Za-z]+/.exec(name)?.[0].toLowerCase() ?? "";
  const isKindThere = devices.some((device) => device.name.toLowerCase().startsWith(kind));
  if (!isKindThere && (kind === "cuda" || kind === "vulkan")) {
    const before = "name one of these devices; or make sure that the driver works, and build for it:";
    return { before, run: ["build", "--backend", kind] };
  }
  return devices.length === 0 ? "remove the key" : "name one of these devices";
}
