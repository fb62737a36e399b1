import { constants } from "node:fs";
import { access, open, stat } from "node:fs/promises";
import { machine, platform } from "node:os";
import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import type { Fix } from "../../base/fix.ts";

export const howToGetBinary: Fix = { run: ["build"], or: "name another file in llama.binary" };

/** ELF class and `e_machine` by the kernel's name of the machine (`uname -m`); see elf(5) and <elf.h>. */
const elfMachines: Readonly<Record<string, { readonly bits: 32 | 64; readonly id: number }>> = {
  x86_64: { bits: 64, id: 62 },
  aarch64: { bits: 64, id: 183 },
  i686: { bits: 32, id: 3 },
  armv7l: { bits: 32, id: 40 },
  ppc64le: { bits: 64, id: 21 },
  s390x: { bits: 64, id: 22 },
  riscv64: { bits: 64, id: 243 },
  loongarch64: { bits: 64, id: 258 },
};

/**
 * Checks that this machine can start a file. Without the check, the C library's execvp hands a file of unknown format
 * to /bin/sh, whose error names neither the file nor the fault.
 * @param at The place that names the file.
 * @throws LlmctlError `binary-missing`, `binary-not-executable`, `binary-wrong-architecture`, `binary-garbage`.
 */
export async function checkBinary(file: string, at: string): Promise<void> {
  const info = await statBinary(file, at);
  if (info.isDirectory()) throw new LlmctlError("binary-missing", `"${file}" is a folder, not a program`, missing(at));
  if (!info.isFile()) throw new LlmctlError("binary-garbage", `"${file}" is not a regular file`, missing(at));
  try {
    await access(file, constants.X_OK);
  } catch (cause) {
    throw notExecutable(file, at, cause);
  }
  const head = await readHead(file);
  const fault = head === undefined ? undefined : findFormatFault(head, platform(), machine());
  if (fault !== undefined) throw new LlmctlError(fault.code, `"${file}" ${fault.message}`, missing(at));
}

function missing(at: string): { exit: "missingFile"; at: string; fix: Fix } {
  return { exit: "missingFile", at, fix: howToGetBinary };
}

async function statBinary(file: string, at: string) {
  try {
    return await stat(file);
  } catch (cause) {
    const code = systemErrorCode(cause);
    if (code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP") {
      throw new LlmctlError("binary-missing", `"${file}" does not exist`, { ...missing(at), cause });
    }
    if (code === "EACCES") throw notExecutable(file, at, cause);
    throw cause;
  }
}

function notExecutable(file: string, at: string, cause: unknown): LlmctlError {
  return new LlmctlError("binary-not-executable", `this user has no permission to run "${file}"`, {
    exit: "permission",
    at,
    fix: `run "chmod +x ${file}", check the permissions of its folders, and look for a noexec mount`,
    cause,
  });
}

/** The first bytes; undefined for a program that this user can run but not read, which the kernel will check. */
async function readHead(file: string): Promise<Buffer | undefined> {
  try {
    const handle = await open(file, "r");
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(20), 0, 20, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (systemErrorCode(error) === "EACCES") return undefined;
    throw error;
  }
}

interface FormatFault {
  readonly code: "binary-wrong-architecture" | "binary-garbage";
  readonly message: string;
}

/**
 * Why a file that begins with these bytes cannot run here; undefined when it can.
 * @param machineName The output of `uname -m`; programs are not compared with an unknown machine.
 */
export function findFormatFault(head: Buffer, os: NodeJS.Platform, machineName: string): FormatFault | undefined {
  if (head.length === 0) return { code: "binary-garbage", message: "is empty" };
  if (head.toString("latin1", 0, 2) === "#!") return undefined;
  const format = findFormat(head);
  if (format === undefined) return { code: "binary-garbage", message: "is neither a program nor a script" };
  if (format !== (os === "linux" ? "Linux" : "macOS")) {
    return { code: "binary-wrong-architecture", message: `is a ${format} program; this is ${os}` };
  }
  // A Mach-O file may hold several architectures, of which the kernel takes one.
  return format === "Linux" ? findElfFault(head, machineName) : undefined;
}

function findFormat(head: Buffer): "Linux" | "macOS" | "Windows" | undefined {
  const magic = head.length < 4 ? 0 : head.readUInt32BE(0);
  if (magic === 0x7f454c46) return "Linux";
  if ([0xfeedface, 0xfeedfacf, 0xcefaedfe, 0xcffaedfe, 0xcafebabe].includes(magic)) return "macOS";
  return head.toString("latin1", 0, 2) === "MZ" ? "Windows" : undefined;
}

function findElfFault(head: Buffer, machineName: string): FormatFault | undefined {
  if (head.length < 20) return { code: "binary-garbage", message: "is a truncated program" };
  const wanted = elfMachines[machineName];
  if (wanted === undefined) return undefined;
  const bits = head[4] === 1 ? 32 : 64;
  const id = head[5] === 2 ? head.readUInt16BE(18) : head.readUInt16LE(18);
  if (bits === wanted.bits && id === wanted.id) return undefined;
  const name =
    Object.entries(elfMachines).find(([, elf]) => elf.bits === bits && elf.id === id)?.[0] ?? `ELF machine ${id}`;
  return { code: "binary-wrong-architecture", message: `is built for ${name}; this machine is ${machineName}` };
}
