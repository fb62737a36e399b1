import { mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, truncate, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findTool } from "../../src/base/files/find-tool.ts";
import { noteCommand } from "../support/commands-of-test.ts";
import { commitSource, writeFakeSource } from "../support/llama-source.ts";
import { findProcessesUsing, killProcess } from "../support/temp-home.ts";
import { until } from "../support/until.ts";

const script = fileURLToPath(new URL("../../scripts/build-llama.sh", import.meta.url));

let folder: string;
let prefix: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-build-"));
  prefix = join(folder, "builds");
});
afterEach(async () => {
  const left = await findProcessesUsing(folder);
  await rm(folder, { recursive: true, force: true });
  expect(left).toEqual([]);
});

function start(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const whole = {
    PATH: [dirname(process.execPath), process.env["PATH"]].join(":"),
    HOME: folder,
    TMPDIR: folder,
    ...env,
  };
  const bash = findTool("bash") ?? "bash";
  const running = execa(bash, [script, "--prefix", prefix, ...args], {
    reject: false,
    extendEnv: false,
    env: whole,
    stdin: "ignore",
  });
  noteCommand(["build-llama.sh", ...args], running);
  return running;
}

async function installed(): Promise<string[]> {
  const entries = await readdir(prefix).catch(() => []);
  return entries.filter((name) => !name.startsWith(".") && name !== "current" && name !== "previous");
}

async function readManifest(stdout: string): Promise<Record<string, unknown>> {
  const path = /^manifest: (.+)$/m.exec(stdout)?.[1] ?? "no manifest line";
  return JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;
}

/** A folder to put first on the PATH, with these programs as shell scripts. */
async function fakePrograms(programs: Readonly<Record<string, string>>): Promise<string> {
  const bin = join(folder, "bin");
  await mkdir(bin);
  for (const [name, text] of Object.entries(programs))
    await writeFile(join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  return [bin, dirname(process.execPath), process.env["PATH"]].join(":");
}

describe("usage", () => {
  test.each([
    [["--prot", "1"], 'unknown option "--prot"'],
    [["--ref"], "option --ref needs a value"],
    [["--backend", "gpu"], 'unknown backend "gpu"'],
    [["--jobs", "many"], '--jobs "many" is not a number of jobs'],
    [["--source", ".", "--ref", "v0.5.0"], "--source builds a folder as it is"],
    [["--backend", "cpu", "--cuda-arch", "86"], "--cuda-arch has no meaning with --backend cpu"],
  ])("refuses %j", async (args, message) => {
    const { exitCode, stderr } = await start(args);
    expect(stderr).toContain(`build-llama.sh: error: ${message}`);
    expect(exitCode).toBe(2);
    expect(await installed()).toEqual([]);
  });

  test("--help names every option and the default release", async () => {
    const { exitCode, stdout } = await start(["--help"]);
    expect(exitCode).toBe(0);
    for (const option of [
      "ref",
      "repo",
      "source",
      "bundle",
      "backend",
      "cuda-arch",
      "portable",
      "jobs",
      "prefix",
      "keep-current",
    ])
      expect(stdout).toContain(`--${option} `);
    expect(stdout).toContain("v0.5.0");
  });
});

describe("what is missing", () => {
  test("tools are named all at once, with their packages", async () => {
    const bin = join(folder, "few");
    await mkdir(bin);
    for (const name of ["dirname", "uname", "git", "ninja", "node"])
      await symlink(findTool(name) ?? `no ${name} here`, join(bin, name));
    const { exitCode, stderr } = await start([], { PATH: bin });
    expect(stderr).toContain("error: not found: cmake, c++\n  fix: on Debian: apt-get install cmake g++");
    expect(exitCode).toBe(66);
  });

  test("a source without CMakeLists.txt is refused", async () => {
    const { exitCode, stderr } = await start(["--source", folder]);
    expect(stderr).toContain(`"${folder}" is not a checkout of llama.cpp`);
    expect(exitCode).toBe(66);
  });

  test("a ref that the repository does not have is named", async () => {
    const repo = await writeFakeSource(join(folder, "repo"));
    await commitSource(repo);
    for (const ref of ["v9.9.9", "no-such-branch"]) {
      const { exitCode, stderr } = await start(["--repo", repo, "--ref", ref]);
      expect(stderr).toContain(`error: ${repo} has no release or branch "${ref}"`);
      expect(exitCode).toBe(66);
    }
    expect(await installed()).toEqual([]);
  });

  test("a repository out of reach is named, with what works without it", async () => {
    const { exitCode, stderr } = await start(["--repo", join(folder, "gone"), "--ref", "v0.5.0"]);
    expect(stderr).toContain(`error: cannot reach ${join(folder, "gone")}: `);
    expect(stderr).toContain("fix: without it: --source DIR, --bundle FILE");
    expect(exitCode).toBe(69);
  });

  test("nvcc without cuBLAS is found before anything is fetched", async () => {
    const nvcc = `case $1 in
      --version) echo "Cuda compilation tools, release 12.8, V12.8.1";;
      *) echo "fatal error: cublas_v2.h: No such file"; exit 1;;
    esac`;
    const PATH = await fakePrograms({ nvcc });
    const source = await writeFakeSource(join(folder, "source"));
    const { exitCode, stdout, stderr } = await start(["--source", source, "--cuda-arch", "86"], { PATH });
    expect(stdout).toContain("(cuda: nvcc is found, and --cuda-arch is given)");
    expect(stderr).toContain("error: nvcc cannot build a program that uses cuBLAS");
    expect(stderr).toContain("fix: install cuBLAS");
    expect(exitCode).toBe(1);
  });
});

describe("bundles", () => {
  test("a file that is no bundle, or a truncated one, is refused and nothing is installed", async () => {
    const repo = await writeFakeSource(join(folder, "repo"));
    await commitSource(repo);
    const bundle = join(folder, "source.bundle");
    await writeFile(bundle, "not a bundle");
    expect(await start(["--bundle", bundle])).toMatchObject({
      exitCode: 66,
      stderr: expect.stringContaining("is not a git bundle, or is damaged"),
    });

    await execa("git", ["-C", repo, "bundle", "create", bundle, "HEAD"]);
    await truncate(bundle, (await stat(bundle)).size - 100);
    expect(await start(["--bundle", bundle])).toMatchObject({
      exitCode: 66,
      stderr: expect.stringContaining(`bundle "${bundle}" is damaged: `),
    });
    expect(await installed()).toEqual([]);
  });

  test("its HEAD or one of its refs is built; an unknown ref is refused, and the refs are listed", async () => {
    const repo = await writeFakeSource(join(folder, "repo"));
    await commitSource(repo);
    const bundle = join(folder, "source.bundle");
    await execa("git", ["-C", repo, "bundle", "create", bundle, "HEAD", "v0.0.1"]);
    const { stdout: commit } = await execa("git", ["-C", repo, "rev-parse", "HEAD"]);

    const head = await start(["--bundle", bundle, "--portable"]);
    expect(await readManifest(head.stdout)).toMatchObject({
      commit,
      ref: commit.slice(0, 12),
      origin: `bundle ${bundle}`,
    });
    const tagged = await start(["--bundle", bundle, "--portable", "--ref", "v0.0.1"]);
    expect(await readManifest(tagged.stdout)).toMatchObject({ commit, ref: "v0.0.1" });
    const other = await start(["--bundle", bundle, "--ref", "v0.0.2"]);
    expect(other.stderr).toContain('the bundle has no "v0.0.2"; it has: HEAD refs/tags/v0.0.1');
  });
});

describe("the npm package in place of GitHub", () => {
  test("a tarball with another digest is refused", async () => {
    const PATH = await fakePrograms({
      git:
        `case "$*" in *ls-remote*) echo "fatal: Could not resolve host: github.com" >&2; exit 128;; esac; exec ` +
        `${findTool("git")} "$@"`,
      npm: 'while [ $# -gt 1 ]; do shift; done; echo forged > "$1/node-llama-cpp-3.22.1.tgz"',
    });
    const { exitCode, stdout, stderr } = await start(["--ref", "v0.5.0", "--portable"], { PATH });
    expect(stdout).toContain(
      "cannot reach https://github.com/ggml-org/llama.cpp: taking the same release from the npm package " +
        "node-llama-cpp 3.22.1",
    );
    expect(stderr).toContain("error: node-llama-cpp@3.22.1 is not the package that is expected");
    expect(exitCode).toBe(66);
    expect(await installed()).toEqual([]);
  });
});

describe("building", () => {
  test("installs a tested build with its manifest, and does nothing for the same inputs again", async () => {
    const repo = await writeFakeSource(join(folder, "repo"));
    await commitSource(repo);
    const first = await start(["--repo", repo, "--ref", "v0.0.1", "--portable"]);
    expect(first.stderr).toBe("");
    const [id = ""] = await installed();
    expect(id).toMatch(/^v0\.0\.1-cpu-portable-[0-9a-f]{8}$/);
    expect(await readlink(join(prefix, "current"))).toBe(id);
    expect(await readManifest(first.stdout)).toMatchObject({
      id,
      ref: "v0.0.1",
      origin: `git ${repo}`,
      version: "0.0.1 (fake)",
      portable: true,
      portableReason: null,
      test: "8 tokens, 4 of 5 drafted accepted",
      flags: expect.arrayContaining(["-DGGML_NATIVE=OFF", "-DLLAMA_BUILD_UI=OFF"]),
    });

    await rm(repo, { recursive: true });
    const second = await start(["--repo", repo, "--ref", "v0.0.1", "--portable"]);
    expect(second.stdout).toContain("installed already, from the same inputs: nothing to do");
    expect(second.stdout).not.toContain("compile");
    expect(await readManifest(second.stdout)).toEqual(await readManifest(first.stdout));
  });

  test("passes on only the options that this version has", async () => {
    const { stdout } = await start(["--source", await writeFakeSource(join(folder, "source")), "--portable"]);
    const { flags } = await readManifest(stdout);
    expect(flags).toContain("-DLLAMA_BUILD_UI=OFF");
    expect(flags).not.toContain("-DLLAMA_CURL=OFF");
  });

  test("a changed source is another build, which becomes the current one; the first stays", async () => {
    const source = await writeFakeSource(join(folder, "source"), { note: "one" });
    const first = await readManifest((await start(["--source", source, "--portable"])).stdout);
    await writeFakeSource(source, { note: "two" });
    const second = await readManifest((await start(["--source", source, "--portable"])).stdout);
    expect(await readlink(join(prefix, "current"))).toBe(second["id"]);
    expect(new Set(await installed())).toEqual(new Set([first["id"], second["id"]]));
  });

  test("--keep-current installs beside the current build; a later build notes which was current before", async () => {
    const source = await writeFakeSource(join(folder, "source"), { note: "one" });
    const first = await readManifest((await start(["--source", source, "--portable"])).stdout);
    await writeFakeSource(source, { note: "two" });
    const second = await readManifest((await start(["--source", source, "--portable", "--keep-current"])).stdout);
    expect(await readlink(join(prefix, "current"))).toBe(first["id"]);
    expect(new Set(await installed())).toEqual(new Set([first["id"], second["id"]]));

    await start(["--source", source, "--portable"]);
    expect(await readlink(join(prefix, "current"))).toBe(second["id"]);
    expect(await readlink(join(prefix, "previous"))).toBe(first["id"]);
  });

  test("llama-fit-params is built where the source has it", async () => {
    const source = await writeFakeSource(join(folder, "source"));
    const without = await readManifest((await start(["--source", source, "--portable"])).stdout);
    expect(await readdir(join(prefix, String(without["id"]), "bin"))).toEqual(["llama-cli", "llama-server"]);
    await writeFakeSource(source, { fitParams: true });
    const having = await readManifest((await start(["--source", source, "--portable"])).stdout);
    expect(await readdir(join(prefix, String(having["id"]), "bin"))).toEqual([
      "llama-cli",
      "llama-fit-params",
      "llama-server",
    ]);
  });

  test("a native build that crashes is built again as portable, and the manifest says why", async () => {
    const source = await writeFakeSource(join(folder, "source"), { nativeCompletion: "dies" });
    const first = await start(["--source", source]);
    expect(first.stdout).toContain("the native build died of SIGILL on the demo models; building again");
    expect(await readManifest(first.stdout)).toMatchObject({
      portable: true,
      portableReason: "the native build died of SIGILL on the demo models",
      flags: expect.arrayContaining(["-DGGML_NATIVE=OFF"]),
    });
    const second = await start(["--source", source]);
    expect(second.stdout).toContain("nothing to do");
  });

  test("of two runs for the same build one compiles, and the other waits and uses the result", async () => {
    const source = await writeFakeSource(join(folder, "source"));
    const both = await Promise.all([
      start(["--source", source, "--portable"]),
      start(["--source", source, "--portable"]),
    ]);
    expect(both.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
    expect(both.filter(({ stdout }) => stdout.includes("compile"))).toHaveLength(1);
    expect(both.filter(({ stdout }) => stdout.includes("nothing to do"))).toHaveLength(1);
  });

  test("a failed compile shows the end of its log, where the log is, and advice for a known error", async () => {
    const source = await writeFakeSource(join(folder, "source"), { compile: "fails" });
    const { exitCode, stderr } = await start(["--source", source, "--portable"]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain("nvcc: error: unsupported GNU version!");
    expect(stderr).toMatch(
      /error: compiling llama\.cpp failed\n {2}at: {2}\S+\.log\n {2}fix: this nvcc needs an older host compiler/,
    );
    expect(await installed()).toEqual([]);
  });

  test("an interrupted build ends its compilers, installs nothing, and says that the next run goes on", async () => {
    const source = await writeFakeSource(join(folder, "source"), { compile: "hangs" });
    const building = start(["--source", source, "--portable"]);
    for await (const line of building) if (/^\[1\/\d\]/.test(line)) building.kill("SIGTERM");
    const { exitCode, stdout } = await building;
    expect(exitCode).toBe(143);
    expect(stdout).toMatch(/^kept +\S+\.work\S+: the next run goes on from there$/m);
    expect(await installed()).toEqual([]);
    expect((await findProcessesUsing(folder)).map(({ command }) => command)).toEqual([]);
  });

  /** Starts the build of a source with two steps, and ends it by this signal while the second step waits. */
  async function interrupt(signal: "SIGTERM" | "SIGKILL"): Promise<string> {
    const source = await writeFakeSource(join(folder, "source"), { compile: "waits" });
    const building = start(["--source", source, "--portable"]);
    await until("the second step waits", async () => (await findProcessesUsing(folder)).some(isWaiting));
    building.kill(signal);
    const compilers = signal === "SIGKILL" ? await findProcessesUsing(folder) : [];
    for (const { pid } of compilers) killProcess(pid);
    await building;
    await until("all have ended", async () => (await findProcessesUsing(folder)).length === 0);
    await writeFile(join(folder, "go"), "");
    return source;
  }
  const firstRuns = async () => (await readFile(join(folder, "first-runs"), "utf8")).split("ran").length - 1;
  const isWaiting = ({ command }: { command: string }) => command.includes("second.sh");

  test.each(["SIGTERM", "SIGKILL"] as const)("a build that was ended by %s goes on where it was", async (signal) => {
    const source = await interrupt(signal);
    const { stdout, stderr } = await start(["--source", source, "--portable"]);
    expect(stderr).toBe("");
    expect(stdout).toMatch(/^continue +the unfinished build in /m);
    expect(await firstRuns()).toBe(1);
    expect(await installed()).toHaveLength(1);
    expect(await readdir(join(prefix, ".work"))).toEqual([]);
  });

  test("a killed build whose files a power cut has emptied is compiled as a whole", async () => {
    const source = await interrupt("SIGKILL");
    const [work = ""] = await readdir(join(prefix, ".work"));
    await truncate(join(prefix, ".work", work, "build/first.o"), 0);
    const { stdout, stderr } = await start(["--source", source, "--portable"]);
    expect(stderr).toBe("");
    expect(stdout).toMatch(/^compile +the unfinished build that was killed cannot be continued/m);
    expect(await firstRuns()).toBe(2);
    expect(await installed()).toHaveLength(1);
  });

  test("a build that another folder has is copied; a damaged one there is not", async () => {
    const source = await writeFakeSource(join(folder, "source"));
    const first = await readManifest((await start(["--source", source, "--portable"])).stdout);
    const other = prefix;
    prefix = join(folder, "copies");
    const copied = await start(["--source", source, "--portable"], { LLMCTL_BUILDS_FROM: other });
    expect(copied.stdout).toContain(`copied from ${other}`);
    expect(copied.stdout).not.toContain("compile ");
    expect(await readManifest(copied.stdout)).toEqual(first);
    expect(await readlink(join(prefix, "current"))).toBe(first["id"]);

    await rm(join(other, String(first["id"]), "manifest.json"));
    prefix = join(folder, "compiled");
    const compiled = await start(["--source", source, "--portable"], { LLMCTL_BUILDS_FROM: other });
    expect(compiled.stdout).toMatch(/^compile /m);
    expect(await installed()).toEqual([first["id"]]);
  });
});
