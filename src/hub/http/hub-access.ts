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

/** Settings of everything that sends requests to the Hub. */
export interface HubAccess {
  readonly hub: HubSettings;
  readonly signal: AbortSignal;
  readonly onProgress: (event: RetryEvent) => void;
  /** A transfer without a byte for this long is retried; 30 s by default. */
  readonly stallTimeoutMs?: number;
  /** Waits between retries; in real time by default. */
  readonly wait?: RetryRule["wait"];
}

export function connect({ hub, signal, stallTimeoutMs = 30_000 }: Omit<HubAccess, "onProgress">): HubConnection {
  return { endpoint: hub.endpoint, token: hub.token, signal, stallTimeoutMs };
}

/** For addresses in a profile: no server behind them gets the token. */
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

/** The address of a file on the Hub; it may redirect to another server. */
export function fileUrl({ endpoint }: HubSettings, hf: string, commit: string, name: string): string {
  return [endpoint, hf, "resolve", commit, ...name.split("/").map(encodeURIComponent)].join("/");
}

export function offlineError(what: string, at: string | undefined): LlmctlError {
  return new LlmctlError("hub-offline", `${what} is not on this machine, and HF_HUB_OFFLINE forbids fetching it`, {
    exit: "unavailable",
    ...(at === undefined ? {} : { at }),
    fix: "unset HF_HUB_OFFLINE",
  });
}
