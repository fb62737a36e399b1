import type { ExitName } from "../../base/exit-codes.ts";
import type { Problem } from "../../base/errors.ts";

/** Name of the hidden command that a detached supervisor is. */
export const superviseCommand = "__supervise";

/** The descriptor of the supervisor on which it sends its one {@link DetachedMessage}. */
export const starterPipeFd = 3;

/**
 * The one line on the pipe. Events go over the socket instead: there a reader that is slow or stopped does not hold up
 * the supervisor.
 */
export type DetachedMessage = { readonly listening: string } | { readonly error: RefusedStart };

/** The error of a supervisor that could not start. */
export interface RefusedStart {
  readonly code: string;
  readonly exit: ExitName;
  readonly problems: readonly Problem[];
}
