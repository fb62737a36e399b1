import { LlmctlError } from "../base/errors.ts";

/** How to reach the Hub. */
export interface HubSettings {
  /** Without a slash at the end. */
  readonly endpoint: string;
  readonly token?: string;
  /** No network: what is not on disk is an error. */
  readonly offline: boolean;
}

/**
 * Reads `HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE` as the Python client does.
 * @throws LlmctlError `bad-setting`; a token is never part of a message.
 */
export function readHubSettings(env: Readonly<Record<string, string | undefined>>): HubSettings {
  const endpoint = (env["HF_ENDPOINT"] || "https://huggingface.co").replace(/\/+$/, "");
  if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol)) {
    throw new LlmctlError("bad-setting", `HF_ENDPOINT is "${endpoint}", which is no http or https address`, {
      exit: "config",
      fix: "unset HF_ENDPOINT, or give an address such as https://huggingface.co",
    });
  }
  const token = env["HF_TOKEN"]?.trim();
  if (token && !/^[\x21-\x7e]+$/.test(token)) {
    throw new LlmctlError("bad-setting", "HF_TOKEN holds characters that no token has", { exit: "config", fix: "set HF_TOKEN again" });
  }
  const offline = ["1", "ON", "YES", "TRUE"].includes((env["HF_HUB_OFFLINE"] ?? "").toUpperCase());
  return { endpoint, offline, ...(token ? { token } : {}) };
}
