import { readFileSync } from "node:fs";

/** Reads a file of /proc or /sys; throws when it does not exist. */
type ReadText = (path: string) => string;

/**
 * Number of out-of-memory kills so far: in our memory cgroup, which the server shares, or else on the whole machine.
 * @returns undefined when the system counts neither.
 * @see Documentation/admin-guide/cgroup-v2.rst, memory.events; cgroup-v1/memory.rst, memory.oom_control
 */
export function readOomKills(read: ReadText = (path) => readFileSync(path, "latin1")): number | undefined {
  for (const path of listCounters(read)) {
    const count = /^oom_kill (\d+)$/m.exec(tryRead(read, path) ?? "")?.[1];
    if (count !== undefined) return Number(count);
  }
  return undefined;
}

function listCounters(read: ReadText): string[] {
  const cgroups = tryRead(read, "/proc/self/cgroup")?.split("\n") ?? [];
  const own = cgroups.flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (controllers === "") return [`/sys/fs/cgroup${path}/memory.events`];
    return controllers?.split(",").includes("memory") ? [`/sys/fs/cgroup/memory${path}/memory.oom_control`] : [];
  });
  return [...own, "/proc/vmstat"];
}

function tryRead(read: ReadText, path: string): string | undefined {
  try {
    return read(path);
  } catch {
    return undefined; // another kernel, another version of cgroups, or the root's cgroup, which has no such file
  }
}
