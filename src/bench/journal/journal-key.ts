import { createHash } from "node:crypto";
import type { Timing } from "../measurement.ts";

/** Everything that a measurement depends on. Where one of these differs, no old round may be used. */
export interface JournalIdentity {
  /** What the journal is for: a `bench` and a `tune` of one profile keep different things. */
  readonly purpose: "bench" | "tune";
  /** Of llama.cpp, as it names itself. */
  readonly build: string;
  /** The model files, and whatever tells that one was replaced. */
  readonly files: readonly { readonly path: string; readonly sizeBytes: number; readonly modifiedMs: number }[];
  /** The command of each setting, with what stands for its variables. */
  readonly commands: readonly (readonly string[])[];
  readonly promptIds: readonly string[];
  readonly concurrency: number;
  /** Processor time is only measured where it was asked for. */
  readonly timing: Timing;
  /** Most tokens of an answer. */
  readonly maxTokens: number;
  /** The processor, its threads, the memory and the devices, for people. */
  readonly machine: readonly string[];
}

/** Sixteen hexadecimal digits, for the name of a file. The order of the prompts and of the files counts. */
export function journalKey(identity: JournalIdentity): string {
  const { purpose, build, files, commands, promptIds, concurrency, timing, maxTokens, machine } = identity;
  // A list, not a map: the order in which a caller writes the keys must not count.
  const parts = [
    purpose,
    build,
    files.map(({ path, sizeBytes, modifiedMs }) => [path, sizeBytes, modifiedMs]),
    commands,
    promptIds,
    concurrency,
    timing,
    maxTokens,
    machine,
  ];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
}
