import { chmod, mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { dryRun } from "../../src/llama/render/dry-run.ts";
import { readFlagCatalogue } from "../../src/llama/ask/flag-catalogue.ts";
import { renderServer } from "../../src/llama/render/render-command.ts";
import { makeProfile, readCatalogue, readHelp } from "../support/llama-help.ts";

const env = { PATH: process.env["PATH"] ?? "" };
let folder = "";
let cacheDir = "";

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-ask-"));
  cacheDir = join(folder, "cache");
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** A program that runs these lines of shell; `$0.calls` counts its runs. */
async function makeProgram(lines: string, name = "llama-server"): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, `#!/bin/sh\necho "$*" >> "$0.calls"\n${lines}\n`);
  await chmod(path, 0o755);
  return path;
}

/** A program that answers as the real one of this build did. */
async function makeServer(version = "version: 7698 (79efbb1)"): Promise<string> {
  await writeFile(join(folder, "help.txt"), readHelp("llama-server-b7698"));
  return makeProgram(
    `case "$1" in --version) echo noise >&2; echo "${version}" >&2;; --help) cat "${folder}/help.txt";; esac`,
  );
}

async function calls(program: string): Promise<number> {
  return (await readFile(`${program}.calls`, "utf8")).trim().split("\n").length;
}

async function cacheFiles(): Promise<string[]> {
  const names = await readdir(join(cacheDir, "flags"));
  return names.map((name) => join(cacheDir, "flags", name));
}

describe("asking a binary", () => {
  test("reads its version and its flags", async () => {
    const catalogue = await readFlagCatalogue(await makeServer(), { cacheDir, env });
    expect(catalogue.version).toBe("7698 (79efbb1)");
    expect(catalogue.entries).toEqual(readCatalogue("b7698").entries);
    expect(catalogue.has("--ctx_size_draft")).toBe(true);
    expect(catalogue.has("--spec-type")).toBe(false);
  });

  test("asks the binary once, then reads the cache, and asks again when the file changes", async () => {
    const program = await makeServer();
    const first = await readFlagCatalogue(program, { cacheDir, env });
    expect(await readFlagCatalogue(program, { cacheDir, env })).toEqual(first);
    expect(await calls(program)).toBe(2);
    await utimes(program, 1, 1);
    await readFlagCatalogue(program, { cacheDir, env });
    expect(await calls(program)).toBe(4);
    expect(await cacheFiles()).toHaveLength(1);
  });

  test.each(["", "{", "null", '{"format":1}', '{"format":0,"version":"x","entries":[]}'])(
    "a broken cache file is ignored and rewritten: %s",
    async (broken) => {
      const program = await makeServer();
      await readFlagCatalogue(program, { cacheDir, env });
      const [file = ""] = await cacheFiles();
      const good = await readFile(file, "utf8");
      await writeFile(file, broken);
      expect((await readFlagCatalogue(program, { cacheDir, env })).version).toBe("7698 (79efbb1)");
      expect(await readFile(file, "utf8")).toBe(good);
    },
  );

  test("works with a cache folder that cannot be written", async () => {
    await writeFile(cacheDir, "a file");
    expect((await readFlagCatalogue(await makeServer(), { cacheDir, env })).version).toBe("7698 (79efbb1)");
  });

  test("gives the binary the given environment and no other", async () => {
    const program = await makeProgram(`env > "$0.env-$1"; cat "${folder}/help.txt"; echo "version: 1 (a)" >&2`);
    await writeFile(join(folder, "help.txt"), readHelp("llama-server-b7698"));
    await readFlagCatalogue(program, { cacheDir, env: { ...env, GGML_X: "1" } });
    const seen = await readFile(`${program}.env---help`, "utf8");
    expect(seen).toContain("GGML_X=1");
    expect(seen).not.toContain("VITEST");
  });

  test.each([
    [
      "garbage",
      "echo garbage",
      { code: "help-unreadable", message: "the --help text does not come from a llama.cpp program" },
    ],
    [
      "a complaint",
      "echo first >&2; echo 'no can do' >&2; exit 3",
      { code: "binary-failed", message: expect.stringContaining("no can do") },
    ],
    ["death", "kill -ILL $$", { code: "binary-failed", message: expect.stringContaining("died of SIGILL") }],
  ])("%s is an error that names the file", async (_, lines, expected) => {
    const program = await makeProgram(lines);
    await expect(readFlagCatalogue(program, { cacheDir, env })).rejects.toMatchObject({
      ...expected,
      exit: "missingFile",
      at: program,
    });
  });

  test("a missing shared library is named", async () => {
    const program = await makeProgram(
      "echo 'llama-server: error while loading shared libraries: libcublas.so.12: cannot open shared object " +
        "file: No such file or directory' >&2; exit 127",
    );
    await expect(readFlagCatalogue(program, { cacheDir, env })).rejects.toMatchObject({
      code: "binary-library-missing",
      message: expect.stringContaining("libcublas.so.12"),
      fix: expect.stringContaining("CUDA"),
    });
  });

  test("all missing shared libraries are named when ldd lists them", async () => {
    await mkdir(join(folder, "bin"));
    const ldd = await makeProgram(
      "printf '\\tlibfoo.so.1 => not found\\n\\tlibc.so.6 => /lib/libc.so.6 (0x1)\\n\\tlibbar.so => not found\\n'",
      "bin/ldd",
    );
    const program = await makeProgram("exit 127");
    const rejected = readFlagCatalogue(program, { cacheDir, env: { PATH: `${join(ldd, "..")}:${env.PATH}` } });
    await expect(rejected).rejects.toMatchObject({
      code: "binary-library-missing",
      message: expect.stringContaining("libfoo.so.1, libbar.so"),
    });
  });

  test("a script whose interpreter is missing is named", async () => {
    const program = join(folder, "llama-server");
    await writeFile(program, "#!/no/such/shell\n");
    await chmod(program, 0o755);
    await expect(readFlagCatalogue(program, { cacheDir, env })).rejects.toMatchObject({
      code: "binary-failed",
      message: expect.stringContaining("interpreter"),
    });
  });
});

describe("dry run", () => {
  const catalogue = readCatalogue("v0.5.0");
  const profile = makeProfile({ sampling: { temp: 2 }, devices: ["CUDA9"], args: ["--cache-reuse", "abc"] });
  const rendering = renderServer(profile, { target: "/m" }, catalogue);
  const options = { env, timeoutMs: 10_000, origin: { profile, rendering } };

  test("puts --version last and accepts exit code 0", async () => {
    const program = await makeProgram("exit 0");
    await expect(dryRun(program, ["--model", "a b"], options)).resolves.toBeUndefined();
    expect(await readFile(`${program}.calls`, "utf8")).toBe("--model a b --version\n");
  });

  test("a refusal has llama.cpp's words and the place of the key that it came from", async () => {
    const program = await makeProgram(`echo 'error while handling argument "--cache-reuse": stoi' >&2; exit 1`);
    await expect(dryRun(program, [], options)).rejects.toMatchObject({
      code: "flag-refused",
      exit: "config",
      message: 'llama.cpp refuses "args[0]": --cache-reuse: not a number, or out of range (stoi)',
      at: "p.yaml:args.0",
    });
  });

  test("a missing device is reported as unavailable, not as an error of the profile", async () => {
    const program = await makeProgram(
      `echo 'error while handling argument "--device": invalid device: CUDA9' >&2; exit 1`,
    );
    await expect(dryRun(program, [], options)).rejects.toMatchObject({
      exit: "unavailable",
      at: "p.yaml:devices",
      fix: expect.stringContaining("--list-devices"),
    });
  });

  test("a refused flag that was not rendered is reported at the file", async () => {
    const program = await makeProgram("echo 'error: invalid argument: --what' >&2; exit 1");
    await expect(dryRun(program, ["--what"], { env, timeoutMs: 10_000 })).rejects.toMatchObject({
      code: "flag-refused",
      at: program,
    });
  });

  test("a binary that hangs is killed", async () => {
    const program = await makeProgram("exec sleep 60");
    await expect(dryRun(program, [], { ...options, timeoutMs: 200 })).rejects.toMatchObject({
      code: "binary-failed",
      message: expect.stringContaining("did not check its command line in time"),
    });
  });
});
