import { setTimeout as delay } from "node:timers/promises";
import { LlmctlError } from "../../base/errors.ts";
import type { HttpConnection, HubConnection } from "./hub-connection.ts";
import type { HubSettings } from "./hub-settings.ts";
import type { RetryRule } from "./retry.ts";

export interface RetryEvent {
  readonly kind: "retry";
  readonly reason: string;
  readonly delayMs: number;
}

/** What everything that talks to the Hub is given. */
export interface HubAccess {
  readonly hub: HubSettings;
  readonly signal: AbortSignal;
  readonly onProgress: (event: RetryEvent) => void;
  /** A transfer with no byte for this long is tried again; 30 s unless told. */
  readonly stallTimeoutMs?: number;
  /** Waits between retries; real time unless told. */
  readonly wait?: RetryRule["wait"];
}

export function connect({ hub, signal, stallTimeoutMs = 30_000 }: Omit<HubAccess, "onProgress">): HubConnection {
  return { endpoint: hub.endpoint, token: hub.token, signal, stallTimeoutMs };
}

/** For addresses that a profile names: whatever server they lead to, it gets no token. */
export function connectWithoutToken(access: Omit<HubAccess, "onProgress">): HttpConnection {
  const { endpoint: _endpoint, token: _token, ...connection } = connect(access);
  return connection;
}

export async function waitRealTime(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal });
}

export function retryRule({ signal, onProgress, wait = waitRealTime }: HubAccess): RetryRule {
  return { signal, wait, onRetry: (reason, delayMs) => onProgress({ kind: "retry", reason, delayMs }) };
}

/** The Hub's own address of a file; it may redirect elsewhere. */
export function fileUrl({ endpoint }: HubSettings, hf: string, commit: string, name: string): string {
  return [endpoint, hf, "resolve", commit, ...name.split("/").map(encodeURIComponent)].join("/");
}

export function offlineError(what: string, at: string | undefined): LlmctlError {
  return new LlmctlError("hub-offline", `${what} is not on this machine, and HF_HUB_OFFLINE forbids to fetch it`, {
    exit: "unavailable",
    ...(at === undefined ? {} : { at }),
    fix: "unset HF_HUB_OFFLINE",
  });
}
