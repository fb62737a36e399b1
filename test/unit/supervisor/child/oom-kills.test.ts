import { describe, expect, test } from "vitest";
import { readOomKills } from "../../../../src/supervisor/child/oom-kills.ts";

const vmstat = { "/proc/vmstat": "pgfault 12\noom_kill 7\ndrop_pagecache 0\n" };

function readFrom(files: Readonly<Record<string, string>>): number | undefined {
  return readOomKills((path) => {
    const text = files[path];
    if (text === undefined) throw new Error(`ENOENT ${path}`);
    return text;
  });
}

describe("the count of OOM kills", () => {
  test("is that of the process's cgroup, version 2", () => {
    const own = {
      "/proc/self/cgroup": "0::/user.slice/a b.service\n",
      "/sys/fs/cgroup/user.slice/a b.service/memory.events": events,
    };
    expect(readFrom({ ...vmstat, ...own })).toBe(3);
  });

  test("is that of the process's memory cgroup, version 1", () => {
    const own = {
      "/proc/self/cgroup": "9:name=systemd:/x\n4:cpu,memory:/box\n0::/\n",
      "/sys/fs/cgroup/memory/box/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    };
    expect(readFrom({ ...vmstat, ...own })).toBe(2);
  });

  test("is the machine's when the cgroup has no count", () => {
    expect(readFrom({ ...vmstat, "/proc/self/cgroup": "0::/\n" })).toBe(7);
    expect(readFrom(vmstat)).toBe(7);
  });

  test("is unknown when the system has no count", () => expect(readFrom({})).toBeUndefined());

  test("is known on this machine", () => expect(readOomKills()).toBeGreaterThanOrEqual(0));
});

const events = "low 0\nhigh 0\nmax 9\noom 4\noom_kill 3\noom_group_kill 0\n";
