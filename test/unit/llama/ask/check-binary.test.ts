import { chmod, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { machine, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { checkBinary, findFormatFault } from "../../../../src/llama/ask/check-binary.ts";

function elf(bits: 32 | 64, id: number, order: "LE" | "BE" = "LE"): Buffer {
  const head = Buffer.alloc(20);
  head.set([0x7f, 0x45, 0x4c, 0x46, bits === 32 ? 1 : 2, order === "LE" ? 1 : 2]);
  if (order === "LE") head.writeUInt16LE(id, 18);
  else head.writeUInt16BE(id, 18);
  return head;
}

describe("the first bytes of a file", () => {
  test.each([
    ["an x86-64 program", elf(64, 62), "linux", "x86_64"],
    ["an arm64 program", elf(64, 183), "linux", "aarch64"],
    ["a big-endian program", elf(64, 22, "BE"), "linux", "s390x"],
    ["a 32-bit program", elf(32, 3), "linux", "i686"],
    ["a 32-bit arm program", elf(32, 40), "linux", "armv7l"],
    ["a POWER program", elf(64, 21), "linux", "ppc64le"],
    ["a RISC-V program", elf(64, 243), "linux", "riscv64"],
    ["a LoongArch program", elf(64, 258), "linux", "loongarch64"],
    ["an old macOS program", Buffer.from("feedface00000000", "hex"), "darwin", "arm64"],
    ["another old macOS program", Buffer.from("feedfacf00000000", "hex"), "darwin", "arm64"],
    ["a 32-bit macOS program", Buffer.from("cefaedfe00000000", "hex"), "darwin", "arm64"],
    ["a machine that we do not know", elf(64, 1), "linux", "unheard-of"],
    ["a script", Buffer.from("#!/bin/sh\n"), "linux", "x86_64"],
    ["a macOS program", Buffer.from("cffaedfe0c000001", "hex"), "darwin", "arm64"],
    ["a universal macOS program", Buffer.from("cafebabe00000002", "hex"), "darwin", "arm64"],
  ] as const)("%s runs", (_, head, os, machineName) => {
    expect(findFormatFault(head, os, machineName)).toBeUndefined();
  });

  test.each([
    [
      "arm64 on x86-64",
      elf(64, 183),
      "linux",
      "binary-wrong-architecture",
      "is built for aarch64; this machine is x86_64",
    ],
    ["32-bit on 64-bit", elf(32, 3), "linux", "binary-wrong-architecture", "is built for i686; this machine is x86_64"],
    [
      "an odd machine",
      elf(64, 999),
      "linux",
      "binary-wrong-architecture",
      "is built for ELF machine 999; this machine is x86_64",
    ],
    [
      "macOS on Linux",
      Buffer.from("cffaedfe0c000001", "hex"),
      "linux",
      "binary-wrong-architecture",
      "is a macOS program; this is linux",
    ],
    [
      "Windows on Linux",
      Buffer.from("MZ\u0090\u0000", "latin1"),
      "linux",
      "binary-wrong-architecture",
      "is a Windows program; this is linux",
    ],
    ["Linux on macOS", elf(64, 62), "darwin", "binary-wrong-architecture", "is a Linux program; this is darwin"],
    ["nothing", Buffer.alloc(0), "linux", "binary-garbage", "is empty"],
    ["text", Buffer.from("hello"), "linux", "binary-garbage", "is neither a program nor a script"],
    ["three bytes", Buffer.from("abc"), "linux", "binary-garbage", "is neither a program nor a script"],
    [
      "32-bit of the same number",
      elf(32, 62),
      "linux",
      "binary-wrong-architecture",
      "is built for ELF machine 62; this machine is x86_64",
    ],
    [
      "the other byte order",
      elf(64, 62, "BE").fill(1, 5, 6),
      "linux",
      "binary-wrong-architecture",
      "is built for ELF machine 15872; this machine is x86_64",
    ],
    ["one letter", Buffer.from("#"), "linux", "binary-garbage", "is neither a program nor a script"],
    ["a cut program", elf(64, 62).subarray(0, 19), "linux", "binary-garbage", "is a truncated program"],
  ] as const)("%s does not", (_, head, os, code, message) => {
    expect(findFormatFault(head, os, "x86_64")).toEqual({ code, message });
  });
});

describe("files", () => {
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "llmctl-binary-"));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  async function make(content: string | Buffer, mode = 0o755): Promise<string> {
    const path = join(folder, "llama-server");
    await writeFile(path, content);
    await chmod(path, mode);
    return path;
  }

  test("node itself and a script pass", async () => {
    await expect(checkBinary(process.execPath, "here")).resolves.toBeUndefined();
    await expect(checkBinary(await make("#!/bin/sh\n"), "here")).resolves.toBeUndefined();
  });

  test.each([
    ["missing", () => Promise.resolve(join(folder, "no")), "binary-missing", "missingFile"],
    ["below a file", async () => join(await make("#!"), "x"), "binary-missing", "missingFile"],
    ["a folder", () => Promise.resolve(folder), "binary-missing", "missingFile"],
    ["a device", () => Promise.resolve("/dev/null"), "binary-garbage", "missingFile"],
    ["not executable", () => make("#!/bin/sh\n", 0o644), "binary-not-executable", "permission"],
    ["empty", () => make(""), "binary-garbage", "missingFile"],
    ["text", () => make("hello\n"), "binary-garbage", "missingFile"],
  ] as const)("%s is refused with its place and a fix", async (_, path, code, exit) => {
    const file = await path();
    const chmodFix = `run "chmod +x ${file}", check the permissions of its folders, and look for a noexec mount`;
    await expect(checkBinary(file, "p.yaml:3:5")).rejects.toMatchObject({
      code,
      exit,
      message: expect.stringContaining(`"${file}"`) as string,
      at: "p.yaml:3:5",
      fix: exit === "permission" ? chmodFix : { run: ["build"], or: "name another file in llama.binary" },
    });
  });

  test("the kinds of files that are no program have their own words", async () => {
    const message = (file: string, words: string) => ({ message: `"${file}" ${words}` });
    await expect(checkBinary(folder, "here")).rejects.toMatchObject(message(folder, "is a folder, not a program"));
    await expect(checkBinary("/dev/null", "here")).rejects.toMatchObject(message("/dev/null", "is not a regular file"));
    await expect(checkBinary("/nowhere/x", "here")).rejects.toMatchObject(message("/nowhere/x", "does not exist"));
    await symlink("loop", join(folder, "loop"));
    const loop = join(folder, "loop");
    await expect(checkBinary(loop, "here")).rejects.toMatchObject({
      ...message(loop, "does not exist"),
      code: "binary-missing",
    });
  });

  test("a program of another machine is refused", async () => {
    const other = machine() === "aarch64" ? elf(64, 62) : elf(64, 183);
    await expect(checkBinary(await make(other), "here")).rejects.toMatchObject({ code: "binary-wrong-architecture" });
  });
});
