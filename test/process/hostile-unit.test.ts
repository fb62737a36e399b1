import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { renderUnit, type UnitOptions } from "../../src/services/unit.ts";
import { llmctl } from "../support/llmctl.ts";
import { TempHome } from "../support/temp-home.ts";
import { UserSystemd } from "../support/user-systemd.ts";

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
});
afterEach(() => home[Symbol.asyncDispose]());

/** Prints its arguments and environment, and exits with a code that systemd does not restart. */
const echo = `
import { writeFileSync } from "node:fs";
const { ECHO_TO, HF_HOME } = process.env;
writeFileSync(ECHO_TO, JSON.stringify({ args: process.argv.slice(2), HF_HOME }));
process.exit(3);
`;

const paths = [
  "/plain",
  "/with blanks  and\ttabs",
  "/a\n[Service]\nExecStart=/bin/false",
  "/a\rExecStart=/bin/false\r\n",
  "/\u0001\u001b[31m\u007f\u0080\u0085\u009b\u2028\u2029",
  "/\"quotes\" and 'quotes'",
  "/back\\slash\\n\\x41\\",
  "/%n %h 100%",
  "/$HOME ${HOME} $$ $(id)",
  "/a ; /bin/false ;",
  "/# ; comment",
  "/é\u00a0\ufeff😀",
];

test("a real systemd passes every path and variable to the service unchanged, and nothing more", async () => {
  const program = home.join("echo.mjs");
  await writeFile(program, echo);
  const folder = home.join(".config/systemd/user");
  await mkdir(folder, { recursive: true });
  const unit = (index: number, path: string): UnitOptions => ({
    name: `odd${index}`,
    description: `${path}\\`,
    profilePath: path,
    dependsOn: [],
    mounts: [path],
    nodePath: process.execPath,
    execPath: program,
    scope: "user",
    stopTimeoutMs: 1000,
    writable: [],
    environment: { ECHO_TO: home.join(`out${index}`), HF_HOME: path },
  });
  await Promise.all(
    paths.map((path, index) => writeFile(`${folder}/llmctl-odd${index}.service`, renderUnit(unit(index, path)))),
  );
  await using systemd = await UserSystemd.start(home);
  for (const [index, path] of paths.entries()) {
    await systemd.systemctl("start", `llmctl-odd${index}.service`);
    const { args, HF_HOME } = JSON.parse(await readFile(home.join(`out${index}`), "utf8")) as {
      args: string[];
      HF_HOME: string;
    };
    expect({ args, HF_HOME }).toEqual({ args: ["up", "--no-fetch", path], HF_HOME: path });
    expect(await systemd.show(`odd${index}`, "After")).toContain("network.target");
    // The unit names the mounts if they can be written.
    const isSayable = !/[\p{Cc}\u2028\u2029]/u.test(path);
    const mounts = await systemd.show(`odd${index}`, "RequiresMountsFor");
    expect(mounts.includes(path.slice(1, 5).replaceAll(/["$\\]/g, String.raw`\$&`)), mounts).toBe(isSayable);
  }
});

test.each(["quadlet", "compose", "kubernetes"])("export %s of an invalid image or claim is refused", async (format) => {
  for (const image of ["x\nExec=evil", "--privileged", "$IMAGE", "a b", "%n", "x\r", ""]) {
    const { exitCode, stdout, stderr } = await llmctl(["export", format, "demo", "--image", image], { home });
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
    expect(stderr).toContain("cannot be the name of an image");
  }
});

test("export kubernetes of an invalid claim is refused", async () => {
  for (const claim of ["x\nevil: true", "Models", "-x", "a..b", "x".repeat(254)]) {
    const { exitCode, stdout, stderr } = await llmctl(["export", "kubernetes", "demo", "--models", claim], { home });
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
    expect(stderr).toContain("cannot be the name of a claim");
  }
});

test("the path of a service's profile may hold any character, and llmctl can read its unit", async () => {
  const path = home.join("odd\n[Service]\r%n$HOME/p.yaml");
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, "model: /models/m.gguf\n");
  for (const command of [
    ["systemd", "show", path],
    ["launchd", "show", path],
  ]) {
    const { exitCode, stdout } = await llmctl(command, { home });
    expect(exitCode).toBe(0);
    expect(stdout).not.toMatch(/^\[Service\]\r|\r/m);
    expect(stdout.match(/^\[Service\]$/gm) ?? []).toHaveLength(command[0] === "systemd" ? 1 : 0);
  }
});
