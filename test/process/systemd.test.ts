import { mkdir, readFile, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { joinPatterns } from "../support/join-patterns.ts";
import { llmctl } from "../support/llmctl.ts";
import { findServers, isAlive, readStatus, untilGone } from "../support/processes.ts";
import { TempHome } from "../support/temp-home.ts";
import { UserSystemd } from "../support/user-systemd.ts";

let home: TempHome;
let systemd: UserSystemd;

beforeEach(async () => {
  home = await TempHome.create();
  systemd = await UserSystemd.start(home);
});
afterEach(async () => {
  await systemd[Symbol.asyncDispose]();
  await home[Symbol.asyncDispose]();
});

const unitPath = () => home.join(".config/systemd/user/llmctl-p.service");
const install = (...more: string[]) => systemd.llmctl("systemd", "install", "p", "--user", "--from-checkout", ...more);

/** Settings that a test cannot wait for. */
async function dropIn(lines: string): Promise<void> {
  await mkdir(`${unitPath()}.d`, { recursive: true });
  await writeFile(`${unitPath()}.d/test.conf`, lines);
  await systemd.systemctl("daemon-reload");
}

describe("a service", () => {
  test("is installed, runs, has a status, and is removed without leftovers", async () => {
    await home.writeFakeProfile("p");
    const installed = await install("--now");
    expect(installed).toMatchObject({ exitCode: 0, stderr: "" });
    expect(installed.stdout).toMatch(/^wrote \S+llmctl-p\.service\nllmctl-p\.service is ready$/);
    expect(await systemd.show("p", "StatusText")).toMatch(/^ready on http:\S+, drafting on, 48 of 64 tokens accepted/);
    const { pid, state } = await readStatus(home, "p");
    expect(state).toBe("ready");

    const again = await install("--now");
    expect(again.stdout).toBe(`${unitPath()} is as it should be\nllmctl-p.service is ready`);
    expect((await readStatus(home, "p")).pid).toBe(pid);

    const shown = await systemd.llmctl("systemd", "status", "p", "--user");
    expect(shown.exitCode).toBe(0);
    expect(shown.stdout).toMatch(
      joinPatterns(
        /^unit +\S+service\nat boot +enabled\n/,
        /state +active \(running\), last result success, 0 restarts\nsays +ready on /,
      ),
    );

    expect((await systemd.llmctl("systemd", "uninstall", "p", "--user")).stdout).toBe(`removed ${unitPath()}`);
    expect(isAlive(pid ?? 0)).toBe(false);
    expect(await findServers(home)).toEqual([]);
    expect(await systemd.show("p", "LoadState")).toBe("not-found");
    expect((await systemd.llmctl("systemd", "status", "p", "--user")).exitCode).toBe(3);
  });

  test("that would change is shown first, and changed only with consent", async () => {
    await home.writeFakeProfile("p");
    await install();
    await home.writeFakeProfile("p", {}, { stop: { timeout: "2m" } });
    const refused = await install();
    expect(refused.exitCode).toBe(75);
    expect(refused.stdout).toMatch(/^-TimeoutStopSec=\d+\n\+TimeoutStopSec=165$/m);
    expect(await readFile(unitPath(), "utf8")).not.toContain("TimeoutStopSec=165");
    expect((await systemd.llmctl("systemd", "status", "p", "--user")).stdout).toContain(
      'differs from what "llmctl systemd install p" would write',
    );
    expect((await install("--yes")).exitCode).toBe(0);
    expect(await readFile(unitPath(), "utf8")).toContain("TimeoutStopSec=165");
  });

  test("whose supervisor is killed is started again, and no process of the first is left", async () => {
    await home.writeFakeProfile("p");
    await install();
    await dropIn("[Service]\nRestartSec=50ms\n");
    await systemd.systemctl("start", "llmctl-p.service");
    const first = await readStatus(home, "p");
    process.kill(first.supervisorPid, "SIGKILL");
    await untilGone(first.pid ?? 0);
    await systemd.until("p", "NRestarts", "1");
    await systemd.until("p", "ActiveState", "active");
    const second = await readStatus(home, "p");
    expect(await findServers(home)).toEqual([second.pid]);
  });

  test("whose supervisor hangs is killed by the watchdog and started again", async () => {
    await home.writeFakeProfile("p");
    await install();
    await dropIn("[Service]\nWatchdogSec=1s\nRestartSec=50ms\n");
    await systemd.systemctl("start", "llmctl-p.service");
    process.kill((await readStatus(home, "p")).supervisorPid, "SIGSTOP");
    await systemd.until("p", "NRestarts", "1");
    await systemd.until("p", "ActiveState", "active");
    expect(await findServers(home)).toHaveLength(1);
  });

  test("that loads longer than the time limit of a start gets more time while it loads", async () => {
    await home.writeFakeProfile("p", { loadMs: 4000 });
    await install();
    await dropIn("[Service]\nTimeoutStartSec=2s\n");
    await systemd.systemctl("start", "llmctl-p.service");
    expect(await systemd.show("p", "ActiveState")).toBe("active");
    expect(await systemd.show("p", "NRestarts")).toBe("0");
  });

  test("that cannot work is not started again", async () => {
    await home.writeFakeProfile("p", { exitWhileLoading: { code: 1, lines: ["error: invalid argument: --nonsense"] } });
    await install();
    await dropIn("[Service]\nRestartSec=50ms\n");
    await systemd.systemctl("start", "llmctl-p.service");
    await systemd.until("p", "ActiveState", "failed");
    expect(await systemd.show("p", "ExecMainStatus")).toBe("78");
    expect(await systemd.show("p", "NRestarts")).toBe("0");
  });

  test("that crashes again and again is not started again beyond the limit", async () => {
    const restart = { backoff: "10ms", backoff_max: "10ms", max_failures: 3 };
    await home.writeFakeProfile(
      "p",
      { stateFile: home.join("starts"), exitWhileLoading: { code: 3, lines: [] } },
      { restart },
    );
    await install();
    await systemd.systemctl("start", "llmctl-p.service");
    await systemd.until("p", "ActiveState", "failed");
    expect(await systemd.show("p", "ExecMainStatus")).toBe("12");
    expect((await readFile(home.join("starts"), "utf8")).length).toBe(3);
  });

  test("passes no variable of systemd to its server", async () => {
    await home.writeFakeProfile("p", { dumpEnv: home.join("env.json") });
    await install("--now");
    const { env } = JSON.parse(await readFile(home.join("env.json"), "utf8")) as { env: Record<string, string> };
    const names = Object.keys(env).filter((name) =>
      /^(NOTIFY_SOCKET|WATCHDOG_|LISTEN_|INVOCATION_ID|JOURNAL_STREAM|SYSTEMD_|MANAGERPID)/.test(name),
    );
    expect(names).toEqual([]);
  });
});

test("a working copy is installed only with --from-checkout", async () => {
  await home.writeFakeProfile("p");
  const { exitCode, stderr } = await llmctl(["systemd", "install", "p", "--user"], { home });
  expect(exitCode).toBe(78);
  expect(stderr).toMatch(/runs from a working copy[^]*fix: install it: cd \S+ && npm install --global/);
});
