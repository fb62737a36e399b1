import { isSystemError, LlmctlError, systemErrorCode } from "../../base/errors.ts";
import type { Fix } from "../../base/fix.ts";
import { maskAddress } from "../../base/text/secrets.ts";
import type { RemoteModelRef } from "../../profiles/schema/schema.ts";
import { describeRef, describeUrl } from "../find/describe-ref.ts";
import { urlStore } from "./fetch-url.ts";
import type { FindOptions } from "../find/find-model.ts";
import type { Store } from "./free-space.ts";
import type { HubAccess } from "../http/hub-access.ts";
import { hubStore } from "./fetch-hub-files.ts";
import { pullFix } from "../find/pull-fix.ts";
import { TransientError } from "../http/retry.ts";

interface ExplainOptions
  extends Pick<FindOptions, "profile" | "hubCache" | "urlFolder">, Pick<HubAccess, "signal" | "hub"> {}

/** Turns a failure of the network or the disk into an error for people. Other errors are returned as they are. */
export function explainPull(error: unknown, ref: RemoteModelRef, options: ExplainOptions): unknown {
  const { signal, profile, hub, hubCache, urlFolder = "" } = options;
  if (error instanceof LlmctlError) return error;
  const again = (lead: { before?: string } = {}) =>
    pullFix(profile, { ...lead, after: "again; it goes on from what is on disk" });
  if (signal.aborted)
    return new LlmctlError("interrupted", `the pull of ${describeRef(ref)} was interrupted`, {
      exit: "interrupted",
      fix: again(),
    });
  if (error instanceof TransientError) {
    const message = `${describeRef(ref)} could not be fetched: ${error.message}`;
    return new LlmctlError("hub-unreachable", message, {
      exit: "unavailable",
      at: "url" in ref ? describeUrl(ref.url) : maskAddress(hub.endpoint),
      fix: again({ before: "check the network, then run" }),
      cause: error,
    });
  }
  return explainDisk(error, "url" in ref ? urlStore(urlFolder) : hubStore(hubCache), again);
}

function explainDisk(
  error: unknown,
  { folder, name, setting }: Store,
  again: (lead: { before: string }) => Fix,
): unknown {
  const code = systemErrorCode(error);
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new LlmctlError("no-space", "the disk is full", {
      exit: "io",
      at: folder,
      fix: again({ before: "free some space, then run" }),
      cause: error,
    });
  }
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
    const fix = `check the folder's permissions, or set ${setting} to another one`;
    return new LlmctlError("permission-denied", `no permission to write into ${name}`, {
      exit: "permission",
      at: folder,
      fix,
      cause: error,
    });
  }
  if (!isSystemError(error)) return error;
  return new LlmctlError("store-failed", `${name} cannot be written: ${code ?? error.message}`, {
    exit: "io",
    at: folder,
    fix: again({ before: `see what is wrong with that folder, or set ${setting} to another one, then run` }),
    cause: error,
  });
}
