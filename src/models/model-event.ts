import type { Problem } from "../base/errors.ts";
import type { FetchEvent } from "../hub/download/fetch-files.ts";
import type { PullOptions } from "../hub/download/pull-model.ts";
import type { PullPlan } from "../hub/download/pull-plan.ts";
import type { RetryEvent } from "../hub/http/hub-access.ts";
import type { ExpectedFile, VerifyEvent } from "../hub/keep/verify-model.ts";

/** What a pull would do about one model. */
interface ModelPullPlan {
  /** The reference, for people. */
  readonly model: string;
  readonly plan: PullPlan;
}

/** A draft whose headers say that it cannot speed up its target, so that it is not fetched. */
export interface NotFetched {
  /** The reference of the draft, for people. */
  readonly model: string;
  /** The name of the profile that asks for it. */
  readonly profile: string;
  readonly reason: string;
  /** What is not fetched. */
  readonly sizeBytes: number;
}

/** What verifying one model has found out. */
export interface VerifyResult {
  /** The model, for people. */
  readonly model: string;
  readonly sizeBytes: number;
  /** `unknown`: nobody knows the digests, and nothing was read. */
  readonly outcome: "right" | "unknown" | "damaged";
  /** What is wrong with a damaged model; else empty. */
  readonly problems: readonly Problem[];
}

/** What the hub reports while one model is fetched or verified. */
type TransferEvent = FetchEvent | VerifyEvent | RetryEvent;

/**
 * Everything that the use cases of this room report:
 *
 * - `fetch-plan`: something will be fetched; all models are told before the first byte, complete ones as well
 * - `verify-plan`: the content of these files will be read
 * - `not-fetched`: a draft is left out
 * - `verify-result`: all files of one model were read
 * - the others: progress of one model; `model` is empty where the event belongs to no single model
 */
export type ModelEvent =
  | { readonly kind: "fetch-plan"; readonly plans: readonly ModelPullPlan[] }
  | { readonly kind: "verify-plan"; readonly files: readonly ExpectedFile[] }
  | ({ readonly kind: "not-fetched" } & NotFetched)
  | ({ readonly kind: "verify-result" } & VerifyResult)
  | (TransferEvent & { readonly model: string });

/** Receives the events in the order in which they happen. */
export type OnModelEvent = (event: ModelEvent) => void;

/** Reports the progress of one model. The hub's own `plan` is left out: `fetch-plan` reports all models at once. */
export function reportAs(model: string, onEvent: OnModelEvent): PullOptions["onProgress"] {
  return (event) => event.kind !== "plan" && onEvent({ ...event, model });
}
