import { stat } from "node:fs/promises";
import { systemErrorCode } from "../base/errors.ts";
import type { ExitCause, Launch } from "./launch.ts";

/** Error codes of a temporary shortage of descriptors, processes or memory. */
export const shortageCodes: ReadonlySet<string> = new Set(["EAGAIN", "EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]);

/**
 * Error codes that may go away by themselves: the file system (also NFS, FUSE) is not mounted yet, or its server or
 * device is gone for a while.
 * @see errno(3)
 */
export const mayComeCodes: ReadonlySet<string> = new Set([
  "ENOENT",
  "ENOTDIR",
  "ENODEV",
  "ENXIO",
  "EIO",
  "ESTALE",
  "ENOTCONN",
  "ECONNREFUSED",
  "ETIMEDOUT",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  ...shortageCodes,
]);

/**
 * Checks that the program and the files that it will read exist: at a restart the launch may be months old.
 * @param lookAt Rejects with the system's error when there is nothing at the path.
 * @returns the cause for the first missing file.
 */
export async function checkFiles(
  { file, files, apiKeyFile }: Pick<Launch, "file" | "files" | "apiKeyFile">,
  lookAt: (path: string) => Promise<unknown> = stat,
): Promise<ExitCause | undefined> {
  const needed = [
    { path: file, kind: "binary-missing", what: "program" },
    ...files.map(({ path }) => ({ path, kind: "model-missing", what: "model file" })),
    ...(apiKeyFile === undefined ? [] : [{ path: apiKeyFile, kind: "api-key-file-missing", what: "API key file" }]),
  ];
  const causes = await Promise.all(needed.map((one) => checkFile(one, lookAt)));
  return causes.find((cause) => cause !== undefined);
}

interface NeededFile {
  readonly path: string;
  readonly kind: string;
  readonly what: string;
}

async function checkFile(
  { path, kind, what }: NeededFile,
  lookAt: (path: string) => Promise<unknown>,
): Promise<ExitCause | undefined> {
  try {
    await lookAt(path);
    return undefined;
  } catch (error) {
    const code = systemErrorCode(error) ?? "unknown error";
    const isAbsent = code === "ENOENT" || code === "ENOTDIR";
    return {
      kind,
      message: isAbsent ? `the ${what} "${path}" is missing` : `the ${what} "${path}" cannot be reached (${code})`,
      fix: "check the path, and that its file system is mounted",
      permanent: true,
      ...(mayComeCodes.has(code) ? { mayCome: true as const } : {}),
      exit: code === "EACCES" || code === "EPERM" ? "permission" : "missingFile",
    };
  }
}
