import type { StatusEvent } from "../../control/messages.ts";
import type { LaunchPlan } from "../../llama/plan/plan-launch.ts";
import type { ModelEvent } from "../../models/model-event.ts";
import type { ExitCause } from "../../supervisor/launch.ts";
import type { StartFailure } from "./wait-for-ready.ts";

/** What a start or a restart reports while it goes on; the one who asked for it draws it. */
export type StartEvent =
  /** The next of several profiles begins. */
  | { readonly kind: "profile"; readonly name: string; readonly isFirst: boolean }
  /** A model is fetched or verified; see `whileModels` of {@link StartHost}. */
  | { readonly kind: "model"; readonly event: ModelEvent }
  /** The plan that is started; its notes are for the person. */
  | { readonly kind: "plan"; readonly plan: LaunchPlan }
  /** The plan needs something that is not there yet, and is tried again later. */
  | { readonly kind: "waiting"; readonly name: string; readonly cause: ExitCause }
  /** A supervisor runs already; the start waits until its server is ready. */
  | { readonly kind: "already-running"; readonly name: string }
  /** The running server is being stopped; the start waits for its end. */
  | { readonly kind: "being-stopped"; readonly name: string }
  /** What the supervisor did. */
  | { readonly kind: "status"; readonly event: StatusEvent }
  /** The supervisor has given up. */
  | { readonly kind: "failed"; readonly failure: StartFailure }
  /** One of several profiles could not be started; the others go on. */
  | { readonly kind: "error"; readonly error: unknown }
  /** `restart --all`, and nothing runs. */
  | { readonly kind: "nothing-running" };

export type OnStartEvent = (event: StartEvent) => void;
