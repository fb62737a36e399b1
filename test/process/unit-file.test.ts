import { writeFile } from "node:fs/promises";
import { execa } from "execa";
import { parse } from "plist";
import { afterEach, beforeEach, expect, test } from "vitest";
import { noteCommand } from "../support/commands-of-test.ts";
import { llmctl } from "../support/llmctl.ts";
import { TempHome } from "../support/temp-home.ts";

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
  await home.writeFakeProfile("other");
  await home.writeFakeProfile(
    "p",
    {},
    { description: '100 % "quoted" $HOME', server: { host: "10.0.0.2" }, depends_on: ["other"] },
  );
});
afterEach(() => home[Symbol.asyncDispose]());

async function writeUnit(scope: "user" | "system"): Promise<string> {
  const path = home.join("llmctl-p.service");
  const { stdout } = await llmctl(["systemd", "show", "p", `--${scope}`], { home });
  await writeFile(path, `${stdout}\n`);
  return path;
}

test.each(["user", "system"] as const)(
  "systemd understands every line of the unit for the manager of the %s",
  async (scope) => {
    const env = { XDG_RUNTIME_DIR: home.path };
    const args = ["verify", "--man=no", `--${scope}`, await writeUnit(scope)];
    const verifying = execa("systemd-analyze", args, { env, reject: false });
    noteCommand(["systemd-analyze", ...args], verifying);
    const { stdout, stderr, exitCode } = await verifying;
    expect(`${stdout}${stderr}`).toBe("");
    expect(exitCode).toBe(0);
  },
);

test("the unit for the manager of the system has an exposure of at most 3.0", async () => {
  const args = ["security", "--offline=true", "--threshold=30", "--no-pager", await writeUnit("system")];
  const { stdout, exitCode } = await execa("systemd-analyze", args, { reject: false });
  expect(stdout).toContain("Overall exposure level");
  expect(exitCode, stdout).toBe(0);
});

test("the manager of the system lets a service write in the folder of its socket", async () => {
  await home.writeFakeProfile("p", {}, { server: { host: "/run/llama/coder.sock" } });
  const { stdout } = await llmctl(["systemd", "show", "p", "--system"], { home });
  expect(stdout).toContain("ReadWritePaths=-/run/llama\n");
});

test("the property list for macOS is valid and holds the given values", async () => {
  const { stdout } = await llmctl(["launchd", "show", "p"], { home });
  const list = parse(stdout) as Readonly<Record<string, unknown>>;
  expect(list).toMatchObject({
    Label: "llmctl.p",
    ProgramArguments: [
      process.execPath,
      expect.stringMatching(/main\.js$/),
      "up",
      "--no-fetch",
      home.join("config/profiles/p.yaml"),
    ],
    KeepAlive: { SuccessfulExit: false },
    EnvironmentVariables: { LLMCTL_HOME: home.path },
  });
});
