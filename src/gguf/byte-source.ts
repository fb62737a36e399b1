import { constants } from "node:fs";
import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { systemErrorCode } from "../base/errors.ts";
import { GgufError } from "./gguf-error.ts";

/** Random access to the bytes of one GGUF file, on disk or on a server. */
export interface ByteSource {
  /** For messages: the path or address. */
  readonly name: string;
  readonly sizeBytes: number;
  /**
   * Fills all of `into` with the bytes from `offset` on. Callers never read past `sizeBytes`.
   * @throws GgufError `truncated` when the file has become shorter.
   */
  readonly read: (offset: number, into: Uint8Array) => Promise<void>;
}

/** Bytes in memory as a source. */
export function bufferSource(bytes: Uint8Array, name: string): ByteSource {
  return {
    name,
    sizeBytes: bytes.length,
    read: (offset, into) => {
      if (offset + into.length > bytes.length) return Promise.reject(shrunk(name, offset + into.length));
      into.set(bytes.subarray(offset, offset + into.length));
      return Promise.resolve();
    },
  };
}

/**
 * An open file as a source; the caller closes it.
 * @throws GgufError `not-gguf` when it is not a regular file.
 */
export async function handleSource(handle: FileHandle, name: string): Promise<ByteSource> {
  const stat = await handle.stat();
  if (stat.isDirectory()) throw new GgufError("not-gguf", `${name} is a directory, not a GGUF file`);
  if (!stat.isFile()) throw new GgufError("not-gguf", `${name} is not a regular file`);
  return { name, sizeBytes: stat.size, read: (offset, into) => fill(handle, name, offset, into) };
}

/**
 * Opens a file for as long as `use` runs.
 * @throws GgufError `file-missing`, `file-unreadable` or `not-gguf`.
 */
export async function withFileSource<T>(path: string, use: (source: ByteSource) => Promise<T>): Promise<T> {
  // Without O_NONBLOCK, opening a FIFO would wait forever for its writer.
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    throw openFailed(path, error);
  });
  try {
    return await use(await handleSource(handle, path));
  } finally {
    await handle.close();
  }
}

async function fill(handle: FileHandle, name: string, offset: number, into: Uint8Array): Promise<void> {
  let done = 0;
  while (done < into.length) {
    const { bytesRead } = await handle.read(into, done, into.length - done, offset + done).catch((error: unknown) => {
      throw new GgufError(
        "file-unreadable",
        `${name} cannot be read at byte ${offset + done}: ${systemErrorCode(error) ?? String(error)}`,
        {
          exit: "io",
          cause: error,
        },
      );
    });
    if (bytesRead === 0) throw shrunk(name, offset + into.length);
    done += bytesRead;
  }
}

function shrunk(name: string, end: number): GgufError {
  return new GgufError("truncated", `${name} became shorter than ${end} bytes while it was read`);
}

function openFailed(path: string, cause: unknown): GgufError {
  const code = systemErrorCode(cause);
  if (code === "ENOENT" || code === "ENOTDIR")
    return new GgufError("file-missing", `${path} does not exist`, { cause });
  const denied = code === "EACCES" || code === "EPERM";
  const why = denied ? "permission denied" : (code ?? String(cause));
  return new GgufError("file-unreadable", `${path} cannot be opened: ${why}`, {
    exit: denied ? "permission" : "io",
    cause,
  });
}
