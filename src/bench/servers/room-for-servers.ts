import type { MemoryUse } from "../../llama/plan/memory-use.ts";

/** The memory that the server of one setting takes. */
export interface ServerNeed {
  readonly label: string;
  /** Empty where it is not known. */
  readonly uses: readonly MemoryUse[];
  /** Size of the files that it reads, in bytes. */
  readonly fileBytes: number;
  /** Whether the servers share the pages of a file that several of them read. */
  readonly isMapped: boolean;
}

/** A memory that is too small. */
export interface Shortage {
  readonly device: string;
  readonly needsMib: number;
  readonly freeMib: number;
}

export type Room =
  | { readonly fits: "all" }
  /** The servers have to take turns. */
  | { readonly fits: "one"; readonly why: string }
  /** Not even one of them: something else has the memory. */
  | { readonly fits: "none"; readonly shortage: Shortage };

const hostName = "Host";
const bytesPerMib = 2 ** 20;

/**
 * Whether the servers of several settings can run beside each other, and beside what runs already.
 * @param usesDevices Whether anything is computed on a GPU.
 */
export function findRoom(needs: readonly ServerNeed[], usesDevices: boolean): Room {
  const shortages = needs.flatMap(({ uses, isMapped }) => uses.filter((use) => isShort(use, isMapped)));
  const [shortage] = shortages.toSorted((a, b) => b.needsMib - b.freeMib - (a.needsMib - a.freeMib));
  if (shortage !== undefined) return { fits: "none", shortage };
  if (needs.some(({ uses }) => uses.length === 0)) {
    return usesDevices
      ? { fits: "one", why: "the build does not tell how much memory its models take" }
      : { fits: "all" };
  }
  for (const { device, freeMib } of needs.flatMap(({ uses }) => uses)) {
    const needsMib = sumOf(needs, device);
    if (needsMib > freeMib)
      return { fits: "one", why: `${describeShortage({ device, needsMib, freeMib })} for all at once` };
  }
  return { fits: "all" };
}

/** Pages of mapped files in RAM can be read again: slow, but possible. */
function isShort({ device, needsMib, freeMib }: Shortage, isMapped: boolean): boolean {
  return needsMib > freeMib && !(device === hostName && isMapped);
}

function sumOf(needs: readonly ServerNeed[], device: string): number {
  const each = needs.map(({ uses }) => uses.find((use) => use.device === device)?.needsMib ?? 0);
  const sum = each.reduce((total, mib) => total + mib, 0);
  if (device !== hostName || !needs.every(({ isMapped }) => isMapped)) return sum;
  // The pages of the target are in memory once, however many servers map them. The smallest server reads it alone.
  const shared = Math.min(...each, ...needs.map(({ fileBytes }) => fileBytes / bytesPerMib));
  return sum - shared * (needs.length - 1);
}

/** `CUDA0 has 900 MiB free, 1200 MiB are needed`. */
export function describeShortage({ device, needsMib, freeMib }: Shortage): string {
  const [free, needs] = [freeMib, needsMib].map(Math.round);
  return `${device === hostName ? "RAM" : device} has ${free} MiB free, ${needs} MiB are needed`;
}
