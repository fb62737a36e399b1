import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { joinPatterns } from "../support/join-patterns.ts";
import { findServers, readStatus, untilStatus, upDetached } from "../support/processes.ts";
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

const unitPath = (name = "p") => home.join(`.config/systemd/user/llmctl-${name}.service`);
const show = (...properties: string[]) => Promise.all(properties.map((property) => systemd.show("p", property)));
const status = async (name = "p") => (await systemd.llmctl("systemd", "status", name, "--user")).stdout;

async function install(name = "p"): Promise<void> {
  const { exitCode, stderr } = await systemd.llmctl("systemd", "install", name, "--user", "--from-checkout");
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
}

/** Settings that a test cannot wait for, or must not miss. */
async function dropIn(lines: string): Promise<void> {
  await mkdir(`${unitPath()}.d`, { recursive: true });
  await writeFile(`${unitPath()}.d/test.conf`, lines);
  await systemd.systemctl("daemon-reload");
}

/** Changes an installed unit by hand. */
async function editUnit(from: string | RegExp, to: string): Promise<void> {
  await writeFile(unitPath(), (await readFile(unitPath(), "utf8")).replace(from, to));
  await systemd.systemctl("daemon-reload");
}

async function startLoading(): Promise<void> {
  await systemd.systemctl("start", "--no-block", "llmctl-p.service");
  await untilStatus(home, "p", "loading", ({ state }) => state === "loading");
}

describe("down", () => {
  test("ends a service for good while it loads", async () => {
    await home.writeFakeProfile("p", { neverReady: true });
    await install();
    await dropIn("[Service]\nRestartSec=50ms\n");
    await startLoading();
    expect(await systemd.llmctl("down", "p")).toMatchObject({ exitCode: 0, stdout: 'stopped "p"' });
    expect(await show("ActiveState", "NRestarts", "ExecMainStatus")).toEqual(["failed", "0", "3"]);
    expect(await findServers(home)).toEqual([]);
    expect(await status()).toContain("failure   none: it was stopped before it was ready, as somebody asked");
  });

  test("ends a service for good whose unit an older version wrote", async () => {
    await home.writeFakeProfile("p", { neverReady: true });
    await install();
    await editUnit(/^RestartPreventExitStatus=.*$/m, "RestartPreventExitStatus=2 12 66 69 75 77 78");
    await dropIn("[Service]\nRestartSec=1h\n");
    await startLoading();
    expect(await systemd.llmctl("down", "p")).toMatchObject({ exitCode: 0, stdout: 'stopped "p"' });
    expect((await show("ActiveState"))[0]).toMatch(/^(failed|inactive)$/);
  });

  test.each([["p"], ["--all"]])("ends a service that systemd is about to start again: %s", async (which) => {
    await home.writeFakeProfile("p", { exitWhileLoading: { code: 3, lines: [] } }, { restart: { policy: "never" } });
    await install();
    await dropIn("[Service]\nRestartSec=1h\n");
    await systemd.systemctl("start", "--no-block", "llmctl-p.service");
    await systemd.until("p", "SubState", "auto-restart");
    expect(await status()).toMatch(
      /^failure +the server exited with code 3 \[exited\], \S+\nfix +see the end of its log: llmctl logs p$/m,
    );
    expect(await systemd.llmctl("down", which)).toMatchObject({
      exitCode: 0,
      stdout: 'stopped "p": llmctl-p.service was activating (auto-restart), and systemd would have started it again',
    });
    expect(await show("ActiveState")).toEqual(["inactive"]);
    expect(await systemd.llmctl("down", "p")).toMatchObject({ exitCode: 3 });
  });

  test("leaves the unit of another home alone", async () => {
    await home.writeFakeProfile("p", { exitWhileLoading: { code: 3, lines: [] } }, { restart: { policy: "never" } });
    await install();
    await dropIn("[Service]\nRestartSec=1h\nEnvironment=LLMCTL_HOME=/elsewhere\n");
    await editUnit(`LLMCTL_HOME=${home.path}`, "LLMCTL_HOME=/elsewhere");
    await dropIn(`[Service]\nRestartSec=1h\nEnvironment=LLMCTL_HOME=${home.path}\n`);
    await systemd.systemctl("start", "--no-block", "llmctl-p.service");
    await systemd.until("p", "SubState", "auto-restart");
    expect(await systemd.llmctl("down", "p")).toMatchObject({ exitCode: 3 });
    expect(await show("SubState")).toEqual(["auto-restart"]);
  });

  test("ends a ready service without a failure, as systemd does while it loads", async () => {
    await home.writeFakeProfile("p");
    await install();
    await systemd.systemctl("start", "llmctl-p.service");
    expect((await systemd.llmctl("down", "p")).exitCode).toBe(0);
    expect(await show("ActiveState", "Result")).toEqual(["inactive", "success"]);
    await home.writeFakeProfile("p", { neverReady: true });
    await startLoading();
    await systemd.systemctl("stop", "llmctl-p.service");
    expect(await show("ActiveState", "Result")).toEqual(["inactive", "success"]);
  });
});

test("a service whose profile runs already is started once, and says who runs it", async () => {
  await home.writeFakeProfile("p");
  await install();
  await dropIn("[Service]\nRestartSec=50ms\n");
  const { pid, supervisorPid } = await upDetached(home, "p");
  await systemd.systemctl("start", "llmctl-p.service");
  expect(await show("ActiveState", "NRestarts", "ExecMainStatus")).toEqual(["failed", "0", "75"]);
  expect(await status()).toMatch(
    new RegExp(
      `^failure +not started: "p" already runs, .* pid ${supervisorPid}; stop it with "llmctl down p".* ` +
        "\\[already-running\\]",
      "m",
    ),
  );
  expect(await readStatus(home, "p")).toMatchObject({ presence: "live", state: "ready", pid });
  expect((await systemd.llmctl("down", "p")).exitCode).toBe(0);
  await systemd.systemctl("start", "llmctl-p.service");
  expect(await show("ActiveState")).toEqual(["active"]);
});

test("a restart of a dependency does not reload the model of the service", async () => {
  await home.writeFakeProfile("base");
  await home.writeFakeProfile("p", {}, { depends_on: ["base"] });
  await install("base");
  await install();
  await systemd.systemctl("start", "llmctl-p.service");
  const { pid } = await readStatus(home, "p");
  const before = await readStatus(home, "base");
  expect(await systemd.show("base", "MainPID")).toBe(String(before.supervisorPid));
  await systemd.systemctl("restart", "llmctl-base.service");
  expect((await readStatus(home, "base")).pid).not.toBe(before.pid);
  await systemd.systemctl("stop", "llmctl-base.service");
  expect(await readStatus(home, "p")).toMatchObject({ presence: "live", state: "ready", pid });
  expect(await show("NRestarts")).toEqual(["0"]);
});

describe("systemd status", () => {
  test("says why a start failed before there was a supervisor", async () => {
    await home.writeFakeProfile("p");
    await install();
    await home.writeFakeProfile("p", {}, { ctx_sise: 1 });
    await systemd.systemctl("start", "llmctl-p.service");
    expect(await show("ActiveState", "ExecMainStatus")).toEqual(["failed", "78"]);
    const said = await status();
    expect(said).toMatch(/^profile +.*unknown key "ctx_sise".*p\.yaml:\d+:\d+\)?\nfix +did you mean "ctx_size"\?/m);
    expect(said).toMatch(
      joinPatterns(
        /^failure +not started: .*unknown key "ctx_sise" \(\S+p\.yaml:\d+:\d+\) \[profile-invalid\].*\n/m,
        /fix +did you mean "ctx_size"\?/,
      ),
    );
    expect(await readStatus(home, "p")).toMatchObject({
      presence: "gone",
      state: "failed",
      lastExit: { kind: "profile-invalid" },
    });
  });

  test("says when the Node, the llmctl or the profile of the unit is gone", async () => {
    const profile = await home.writeFakeProfile("p");
    await install();
    expect(await status()).not.toContain("gone");
    await editUnit(process.execPath, "/opt/node-18/bin/node");
    await editUnit(/ \S+main\.js /, ' "/opt/old one/main.js" ');
    await rename(profile, `${profile}.old`);
    await systemd.systemctl("start", "llmctl-p.service");
    await systemd.until("p", "ActiveState", /^(failed|activating)$/);
    const said = await systemd.llmctl("systemd", "status", "p", "--user");
    expect(said).toMatchObject({ exitCode: 3, stderr: "" });
    expect(said.stdout).toMatch(
      joinPatterns(
        /^gone +the Node that it runs: \/opt\/node-18\/bin\/node\nfix +run "llmctl systemd install p"\n/m,
        /gone +the llmctl that it runs: \/opt\/old one\/main\.js\nfix .*\n/,
        /gone +its profile: \S+p\.yaml\n/,
      ),
    );
  });

  test("reports no failure when there was none", async () => {
    await home.writeFakeProfile("p");
    await install();
    await systemd.systemctl("start", "llmctl-p.service");
    expect(await status()).not.toMatch(/^(failure|gone|profile)/m);
    await systemd.systemctl("stop", "llmctl-p.service");
    expect(await status()).not.toMatch(/^(failure|gone|profile)/m);
    await rm(home.join("state/p/supervisor.log"));
    expect(await status()).not.toMatch(/^failure/m);
  });
});
