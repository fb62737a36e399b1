import type { Problem } from "../../base/errors.ts";
import type { Fix } from "../../base/fix.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import { explainFailedRun } from "./failed-run.ts";
import { runBriefly } from "./run-briefly.ts";

/** A device that a build can compute on, beside the processor. */
export interface Device {
  /** As `--device` takes it: `CUDA0`, `Vulkan1`, `RPC0`. */
  readonly name: string;
  readonly description: string;
  readonly totalMib: number;
  readonly freeMib: number;
}

/** With CUDA the driver is woken first, which takes seconds on some machines. */
const listTimeoutMs = 60_000;

/**
 * The devices of this machine that a build can use.
 * @throws what `explainFailedRun` makes of a binary that cannot list them.
 */
export async function listDevices(file: string, env: Readonly<Record<string, string>>): Promise<Device[]> {
  const result = await runBriefly(file, ["--list-devices"], { env, timeoutMs: listTimeoutMs });
  if (result.failed) throw await explainFailedRun(file, "list its devices", env, result);
  return parseDevices(result.stdout);
}

/**
 * Reads what `--list-devices` prints; the same lines in all builds, with nothing or `(none)` below the head where there
 * are no devices.
 * @see `common_print_available_devices` in llama.cpp's common/arg.cpp
 */
export function parseDevices(text: string): Device[] {
  return text.split("\n").slice(0, mostLines).flatMap(parseDevice);
}

/** Stops a list without end; it would be compared with each device of a profile. */
const mostLines = 4096;

/** In two steps, each of which looks at every character once: with one pattern a line of colons takes cubic time. */
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

/** The key of a profile that names devices. */
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

/** A device that a profile names and that is not there. */
interface MissingDevice extends Required<Problem> {
  readonly name: string;
}

/**
 * Every named device that the build does not have here. llama.cpp takes the names in any case, and `none` for the
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
            message: `there is no device "${name}" for this build: ${describeDevices(devices)}`,
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
    const before = "name a device that is there; or see that its driver works, and build for it:";
    return { before, run: ["build", "--backend", kind] };
  }
  return devices.length === 0 ? "remove the key" : "name a device that is there";
}
