import { access, mkdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemErrorCode } from "../../src/base/errors.ts";
import { until } from "./until.ts";

/**
 * A cgroup with little memory below the cgroup of this process. Disposing of it fails while a process is left in it.
 */
export class MemoryCgroup implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Whether this machine has a memory controller that this user may use: root in most containers, others almost never.
   */
  static async isPossible(): Promise<boolean> {
    try {
      await using _box = await MemoryCgroup.create(1 << 30);
      return true;
    } catch {
      return false;
    }
  }

  /** @throws when that is not possible. */
  static async create(limitBytes: number): Promise<MemoryCgroup> {
    const { parent, limitFile } = await findParent();
    const folder = join(parent, `llmctl-test-${process.pid}`);
    await mkdir(folder);
    await writeFile(join(folder, limitFile), String(limitBytes));
    return new MemoryCgroup(folder);
  }

  /** The words that run the command after them inside. */
  get via(): string[] {
    return ["sh", "-c", 'echo $$ > "$0" && exec "$@"', join(this.#folder, "cgroup.procs")];
  }

  /** An ended process stays in its cgroup until the kernel has removed it, without an event. */
  async [Symbol.asyncDispose](): Promise<void> {
    await until(`${this.#folder} is empty`, async () => {
      try {
        await rmdir(this.#folder);
        return true;
      } catch (error) {
        if (systemErrorCode(error) === "EBUSY") return false;
        throw error;
      }
    });
  }
}

async function findParent(): Promise<{ parent: string; limitFile: string }> {
  const own = (await readFile("/proc/self/cgroup", "utf8")).split("\n");
  const first = own.map((line) => /^\d+:memory:(\/.*)$/.exec(line)?.[1]).find((path) => path !== undefined);
  if (first !== undefined) return { parent: join("/sys/fs/cgroup/memory", first), limitFile: "memory.limit_in_bytes" };
  // In version 2 a cgroup with processes may have no controlled children: only its siblings may.
  const second = own.map((line) => /^0::(\/.*)$/.exec(line)?.[1]).find((path) => path !== undefined) ?? "/";
  const parent = join("/sys/fs/cgroup", second, second === "/" ? "" : "..");
  await access(join(parent, "cgroup.subtree_control"));
  return { parent, limitFile: "memory.max" };
}
