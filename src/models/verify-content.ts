import { LlmctlError } from "../base/errors.ts";
import { verifyFiles, type ExpectedFile } from "../hub/keep/verify-model.ts";
import type { OnModelEvent } from "./model-event.ts";

export interface VerifyContentOptions {
  readonly lockFolder: string;
  readonly signal: AbortSignal;
  readonly onEvent: OnModelEvent;
  /** Also read files that were verified before and have not changed. */
  readonly again?: boolean;
}

/**
 * Reads files and compares their content with their digests, and reports how far it is.
 * @throws LlmctlError `model-damaged`, `interrupted`.
 */
export async function verifyContent(
  files: readonly ExpectedFile[],
  { onEvent, ...options }: VerifyContentOptions,
): Promise<void> {
  onEvent({ kind: "verify-plan", files });
  try {
    await verifyFiles(files, { ...options, onProgress: (event) => onEvent({ ...event, model: event.file }) });
  } catch (error) {
    if (!options.signal.aborted) throw error;
    throw new LlmctlError("interrupted", "verifying the models was interrupted", { exit: "interrupted" });
  }
}
