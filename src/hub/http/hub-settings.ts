import { join } from "node:path";
import type { Env } from "../../base/environment.ts";
import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { findHome } from "../../base/files/home-folder.ts";
import { trimTrailingSlashes } from "../../base/text/trim-trailing-slashes.ts";
import { readSmallFile } from "../../base/files/read-small-file.ts";
import { maskAddress } from "../../base/text/secrets.ts";

/** How to reach the Hub. */
export interface HubSettings {
  /** Without a slash at the end. */
  readonly endpoint: string;
  readonly token?: string;
  /** No network: what is not on disk is an error. */
  readonly offline: boolean;
}

/**
 * Reads `HF_ENDPOINT`, `HF_TOKEN` (or the token that the Python client's `hf auth login` left in a file) and
 * `HF_HUB_OFFLINE` as the Python client does.
 * @throws LlmctlError `bad-setting`; a token is never part of a message.
 */
export function readHubSettings(env: Env): HubSettings {
  const endpoint = trimTrailingSlashes(env["HF_ENDPOINT"] || "https://huggingface.co");
  if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol)) {
    throw new LlmctlError(
      "bad-setting",
      `HF_ENDPOINT is "${maskAddress(endpoint)}", which is no http or https address`,
      {
        exit: "config",
        fix: "unset HF_ENDPOINT, or give an address such as https://huggingface.co",
      },
    );
  }
  const token = findToken(env);
  const offline = isOn(env["HF_HUB_OFFLINE"]);
  return { endpoint, offline, ...(token ? { token } : {}) };
}

function findToken(env: Env): string | undefined {
  if (isOn(env["HF_HUB_DISABLE_IMPLICIT_TOKEN"])) return undefined;
  const given = (env["HF_TOKEN"] || env["HUGGING_FACE_HUB_TOKEN"])?.trim();
  if (given) return checkToken(given, "HF_TOKEN holds", "set HF_TOKEN again");
  const path = tokenPath(env);
  const kept = readToken(path);
  return kept && checkToken(kept, `"${path}" holds`, 'write it again with "hf auth login", or remove it');
}

function tokenPath(env: Env): string {
  if (env["HF_TOKEN_PATH"]) return env["HF_TOKEN_PATH"];
  const home = findHome(env);
  return join(env["HF_HOME"] || join(env["XDG_CACHE_HOME"] || join(home, ".cache"), "huggingface"), "token");
}

/** Stops a file that is no token's, of which a message or a header would be made. */
const mostBytes = 64 << 10;

/**
 * A file that is not there, or not ours to read, is no token: most models need none, and the Hub says when one does.
 */
function readToken(path: string): string | undefined {
  try {
    return readSmallFile(path, { owner: "anyone", most: mostBytes, follow: true })?.trim();
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return undefined;
  }
}

function checkToken(token: string, what: string, fix: string): string {
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new LlmctlError("bad-setting", `${what} characters that no token has`, { exit: "config", fix });
}

function isOn(value: string | undefined): boolean {
  return ["1", "ON", "YES", "TRUE"].includes((value ?? "").toUpperCase());
}
