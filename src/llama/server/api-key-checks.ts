import { statSync } from "node:fs";
import { LlmctlError, type Problem, systemErrorCode } from "../../base/errors.ts";
import { quoteForShell } from "../../base/text/quote-for-shell.ts";
import { isLocalHost } from "../../profiles/rules/host-kinds.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import type { ExitCause, Launch } from "../../supervisor/launch.ts";
import { howToMakeKeyFile, readApiKeys } from "./api-keys.ts";
import { rememberApiKey } from "./server-http.ts";

/** Access to a server or its keys that the owner may not intend. */
export interface OpenAccess extends Required<Problem> {
  readonly code: "no-api-key" | "api-key-file-open";
}

/**
 * Why the profile's key file cannot be used; undefined when it can, or when the profile names none.
 * @param hasComments see {@link readApiKeys}
 */
export function findKeyFileFault(profile: Profile, hasComments: boolean): LlmctlError | undefined {
  const path = profile.values.server.api_key_file;
  if (path === undefined) return undefined;
  try {
    readApiKeys(path, { at: profile.at("server", "api_key_file"), hasComments });
    return undefined;
  } catch (error) {
    if (error instanceof LlmctlError) return error;
    throw error;
  }
}

/** The ways in which others can use a server without a key, or read or change its keys. */
export function findOpenAccess(profile: Profile): OpenAccess[] {
  const { host, api_key_file: path } = profile.values.server;
  if (path !== undefined) return isOpenFile(path) ? [openFile(path, profile.at("server", "api_key_file"))] : [];
  if (isLocalHost(host)) return [];
  return [
    {
      code: "no-api-key",
      message: `whoever reaches ${host} can use the server: it asks for no API key`,
      at: profile.at("server", "host"),
      fix:
        `make keys (${howToMakeKeyFile("FILE")}) and name the file in server.api_key_file, ` +
        "or set server.host to 127.0.0.1",
    },
  ];
}

function openFile(path: string, at: string): OpenAccess {
  return {
    code: "api-key-file-open",
    message: `other users of this machine can read or change the API keys: ${path}`,
    at,
    fix: `chmod 600 ${quoteForShell(path)}`,
  };
}

/**
 * Another owner, such as root, may share the file with us through its group, so only our own file must not be readable
 * by its group. A file without access is reported by {@link findKeyFileFault}.
 */
function isOpenFile(path: string): boolean {
  try {
    const { uid, mode } = statSync(path);
    return (mode & (uid === process.geteuid?.() ? 0o066 : 0o006)) !== 0;
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return false;
  }
}

/**
 * Checks the key file before each start: it may have changed since the profile was read, and a restarted server reads
 * it again.
 */
export function checkKeyFile(launch: Launch): ExitCause | undefined {
  const { apiKeyFile: path } = launch;
  try {
    if (path !== undefined) readApiKeys(path, { at: path, hasComments: true });
  } catch (error) {
    if (!(error instanceof LlmctlError)) throw error;
    const { code: kind, message, fix, exit } = error;
    return { kind, message, exit, ...(fix === undefined ? {} : { fix }), permanent: false };
  }
  rememberApiKey(launch);
  return undefined;
}
