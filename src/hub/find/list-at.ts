import { LlmctlError } from "../../base/errors.ts";
import type { HubModelRef } from "../../profiles/schema/schema.ts";
import { describeRef } from "./describe-ref.ts";
import { connect, retryRule, type HubAccess } from "../http/hub-access.ts";
import { listModel, type ModelListing } from "./list-model.ts";
import { pullFix } from "./pull-fix.ts";

interface ListOptions extends HubAccess {
  /** Name of the profile, for messages. */
  readonly profile: string | undefined;
}

/**
 * Lists a model's files at the commit that its reference is locked to, or at its revision.
 * @throws LlmctlError as {@link listModel}; it says so when the locked commit no longer exists.
 */
export async function listAt(
  lockedCommit: string | undefined,
  ref: HubModelRef,
  options: ListOptions,
): Promise<ModelListing> {
  const revision = lockedCommit ?? ref.revision;
  try {
    return await listModel(revision === undefined ? ref : { ...ref, revision }, connect(options), retryRule(options));
  } catch (error) {
    if (lockedCommit === undefined || !(error instanceof LlmctlError) || error.code !== "hub-not-found") throw error;
    throw new LlmctlError(
      "hub-not-found",
      `${describeRef(ref)} is locked to commit ${lockedCommit}, which no longer exists on the Hub`,
      {
        exit: error.exit,
        ...(error.at === undefined ? {} : { at: error.at }),
        fix: pullFix(options.profile, { update: true }),
        cause: error,
      },
    );
  }
}
