import { freemem, totalmem } from "node:os";
import type { Problem } from "../../base/errors.ts";
import { formatSize } from "../../base/text/units.ts";
import type { Device } from "../ask/devices.ts";
import type { MemoryPart } from "../ask/fit-params.ts";
import type { Rank } from "./finding.ts";

/** The part of one memory of this machine that the models of a profile need, in MiB. */
export interface MemoryUse {
  /** As `--list-devices` names it, or `Host`. */
  readonly device: string;
  readonly needsMib: number;
  readonly freeMib: number;
  readonly totalMib: number;
}

interface MemoryOptions {
  /** llama.cpp may keep layers in RAM that a device cannot hold. */
  readonly canMoveLayers: boolean;
  /** The kernel may drop pages of the model and read them again. */
  readonly isMapped: boolean;
}

export type MemoryFinding = Omit<Problem, "at"> & { readonly rank: Rank; readonly device: string };

/** This machine's RAM in the shape of a device; in a container, no more than its limit. */
export function hostMemory(): Device {
  const limit = process.constrainedMemory() || Number.POSITIVE_INFINITY;
  return {
    name: "Host",
    description: "RAM",
    totalMib: toMib(Math.min(totalmem(), limit)),
    freeMib: toMib(Math.min(freemem(), limit)),
  };
}

const mib = 2 ** 20;
const toMib = (bytes: number): number => Math.floor(bytes / mib);

/** Adds up the needs of the models for each memory. A device that did not tell its size is left out. */
export function sumMemory(parts: readonly MemoryPart[], devices: readonly Device[]): MemoryUse[] {
  return devices.flatMap(({ name, totalMib, freeMib }) => {
    const own = parts.filter(({ device }) => device === name);
    const needsMib = own.reduce((sum, part) => sum + part.modelMib + part.contextMib + part.computeMib, 0);
    return own.length === 0 || totalMib === 0 ? [] : [{ device: name, needsMib, freeMib, totalMib }];
  });
}

/** A finding for each memory that is too small, with the outcome that llama.cpp would have. */
export function judgeMemory(uses: readonly MemoryUse[], options: MemoryOptions): MemoryFinding[] {
  return uses.flatMap((use) =>
    use.needsMib <= use.freeMib ? [] : [use.device === "Host" ? judgeHost(use, options) : judgeDevice(use, options)],
  );
}

function judgeDevice(
  { device, needsMib, freeMib, totalMib }: MemoryUse,
  { canMoveLayers }: MemoryOptions,
): MemoryFinding {
  const sizes = `${device}: the models take ${format(needsMib)}, ${format(freeMib)} of ${format(totalMib)} are free`;
  if (canMoveLayers)
    return { rank: "note", device, message: `${sizes}; llama.cpp will keep what does not fit in RAM, which is slower` };
  const isNeverFree = needsMib > totalMib;
  return {
    rank: isNeverFree ? "error" : "warning",
    device,
    message: sizes,
    fix: `${isNeverFree ? "" : "stop what uses it; or "}lower ctx_size or gpu_layers, or set fit: true`,
  };
}

function judgeHost({ device, needsMib, freeMib, totalMib }: MemoryUse, { isMapped }: MemoryOptions): MemoryFinding {
  const sizes = `RAM: the models take ${format(needsMib)}, ${format(freeMib)} of ${format(totalMib)} are free`;
  if (needsMib <= totalMib) return { rank: "note", device, message: sizes };
  const outcome = isMapped ? "what does not fit is read from disk again and again" : "the kernel will end the server";
  return { rank: "warning", device, message: `${sizes}; ${outcome}`, fix: "take a smaller quant, or lower ctx_size" };
}

/** `CUDA0 19.2 GB of 25.4 GB`. */
export function formatMemoryUse({ device, needsMib, totalMib }: MemoryUse): string {
  return `${device === "Host" ? "RAM" : device} ${format(needsMib)} of ${format(totalMib)}`;
}

function format(sizeMib: number): string {
  return formatSize(sizeMib * mib);
}
