import { mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";

const repository = fileURLToPath(new URL("../..", import.meta.url));

/** The demo pair: small, real, and compatible with each other. */
export const demoTarget = join(repository, "models/demo-target.gguf");
export const demoDraft = join(repository, "models/demo-draft.gguf");
export const fakeLlamaServer = join(repository, "test/support/fake-llama-server.mjs");

/** The time for an ending process to end. */
const lastExitMs = 2000;

/**
 * A new, empty `LLMCTL_HOME`. Disposing of it kills the processes that still use it, and then fails: so `await using
 * home = …`, or the same in `afterEach`, proves that a test left no process.
 */
export class TempHome implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async create(): Promise<TempHome> {
    return new TempHome(await mkdtemp(join(tmpdir(), "llmctl-test-")));
  }

  /** A path under this home; nothing is created. */
  join(...parts: string[]): string {
    return join(this.path, ...parts);
  }

  /**
   * Writes a profile where `llmctl` finds it by name.
   * @param profile YAML text, or values to write as YAML.
   * @returns its path
   */
  async writeProfile(name: string, profile: string | Readonly<Record<string, unknown>>): Promise<string> {
    const folder = this.join("config", "profiles");
    await mkdir(folder, { recursive: true });
    const path = join(folder, `${name}.yaml`);
    await writeFile(path, typeof profile === "string" ? profile : stringify(profile));
    return path;
  }

  /** Writes a profile that serves the demo pair with the fake server. @param faults see fake-llama-server.mjs */
  writeFakeProfile(
    name: string,
    faults: Readonly<Record<string, unknown>> = {},
    more: Readonly<Record<string, unknown>> = {},
  ): Promise<string> {
    return this.writeProfile(name, {
      model: demoTarget,
      draft: { model: demoDraft },
      llama: { binary: fakeLlamaServer },
      env: { FAKE_LLAMA: JSON.stringify(faults) },
      ...more,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const left = await this.#waitForProcessesToEnd();
    for (const { pid } of left) killProcess(pid);
    await rm(this.path, { recursive: true, force: true });
    if (left.length > 0)
      throw new Error(
        `processes left by this test:\n${left.map(({ pid, command }) => `  ${pid} ${command}`).join("\n")}`,
      );
  }

  async #waitForProcessesToEnd(): Promise<UsingProcess[]> {
    const deadline = performance.now() + lastExitMs;
    for (;;) {
      const left = await findProcessesUsing(this.path);
      if (left.length === 0 || performance.now() > deadline) return left;
      await delay(20);
    }
  }
}

interface UsingProcess {
  readonly pid: number;
  readonly command: string;
}

/**
 * Processes, other than this one, that have the path in their arguments or environment, or hold a file under it open.
 * Linux only.
 */
export async function findProcessesUsing(path: string): Promise<UsingProcess[]> {
  const pids = (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid);
  const found = await Promise.all(
    pids.map(async (pid) => {
      const command = await orEmpty(readFile(`/proc/${pid}/cmdline`, "utf8"));
      const places = [command, await orEmpty(readFile(`/proc/${pid}/environ`, "utf8")), ...(await openFiles(pid))];
      return places.some((place) => place.includes(path))
        ? [{ pid: Number(pid), command: command.replaceAll("\0", " ") }]
        : [];
    }),
  );
  return found.flat();
}

async function openFiles(pid: string): Promise<string[]> {
  const fds = await readdir(`/proc/${pid}/fd`).catch(() => []);
  return Promise.all(fds.map((fd) => orEmpty(readlink(`/proc/${pid}/fd/${fd}`))));
}

/** A process may end meanwhile, or belong to someone else. */
async function orEmpty(text: Promise<string>): Promise<string> {
  return text.catch(() => "");
}

/** Nothing happens where the process has ended by then. */
export function killProcess(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}
