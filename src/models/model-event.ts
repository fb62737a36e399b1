import type { FetchEvent } from "../hub/download/fetch-files.ts";
import type { PullPlan } from "../hub/download/pull-plan.ts";
import type { RetryEvent } from "../hub/http/hub-access.ts";
import type { VerifyEvent } from "../hub/keep/verify-model.ts";

/** What a pull would do about one model. */
export interface ModelPullPlan {
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

/** What the hub reports while one model is fetched or verified. */
type TransferEvent = FetchEvent | VerifyEvent | RetryEvent;

/**
 * Everything that the use cases of this room report:
 *
 * - `fetch-plan`: something will be fetched; all models are told before the first byte, complete ones as well
 * - `verify-plan`: the content of these files will be read
 * - `not-fetched`: a draft is left out
 * - the others: progress of one model; `model` is empty where the event belongs to no single model
 */
export type ModelEvent =
  | { readonly kind: "fetch-plan"; readonly plans: readonly ModelPullPlan[] }
  | { readonly kind: "verify-plan"; readonly files: readonly { readonly path: string; readonly sizeBytes: number }[] }
  | ({ readonly kind: "not-fetched" } & NotFetched)
  | (TransferEvent & { readonly model: string });

/** Receives the events in the order in which they happen. */
export type OnModelEvent = (event: ModelEvent) => void;
