import { stat } from "node:fs/promises";
import { systemErrorCode } from "../base/errors.ts";
import type { ExitCause, Launch } from "./launch.ts";

/** What the system lacks for a moment: descriptors, processes, memory. */
export const shortageCodes: ReadonlySet<string> = new Set(["EAGAIN", "EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]);

/**
 * What the system says of a file whose file system is not mounted yet, or whose server or device has gone for a while:
 * NFS and FUSE among them.
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
 * Whether the program and the files that it will read are there: a plan may be months old when its server is started
 * anew.
 * @returns the first that is not.
 */
export async function checkFiles({ file, files, apiKeyFile }: Launch): Promise<ExitCause | undefined> {
  const needed = [
    { path: file, kind: "binary-missing", what: "program" },
    ...files.map(({ path }) => ({ path, kind: "model-missing", what: "model file" })),
    ...(apiKeyFile === undefined
      ? []
      : [{ path: apiKeyFile, kind: "api-key-file-missing", what: "file of the API keys" }]),
  ];
  const causes = await Promise.all(needed.map(checkFile));
  return causes.find((cause) => cause !== undefined);
}

interface NeededFile {
  readonly path: string;
  readonly kind: string;
  readonly what: string;
}

async function checkFile({ path, kind, what }: NeededFile): Promise<ExitCause | undefined> {
  try {
    await stat(path);
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
