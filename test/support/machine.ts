import { chmod, chown, mkdir, readFile, writeFile } from "node:fs/promises";
import { execa } from "execa";
import { llmctl, type RunResult } from "./llmctl.ts";
import { asUser, withPlaces } from "./namespaces.ts";
import { TempHome } from "./temp-home.ts";

/** The user that the machine's services run as here. */
export const serviceUid = 4711;
/** Another user of the machine. */
export const aliceUid = 4712;

type User = "root" | "service" | "alice";
const uids = { root: 0, service: serviceUid, alice: aliceUid } as const;

/**
 * A separate machine for llmctl: `/var/lib`, `/run`, the units and the users are folders of a test.
 * Root's home is `/run/home`, alice's `/run/alice`; the service has `/var/lib/llmctl`. For a caller that is root.
 */
export class Machine implements AsyncDisposable {
  readonly home: TempHome;
  readonly #places: readonly string[];

  private constructor(home: TempHome) {
    this.home = home;
    this.#places = withPlaces({
      "/var/lib": home.join("var-lib"),
      "/run": home.join("run"),
      "/etc/systemd/system": home.join("units"),
      "/etc/passwd": home.join("passwd"),
    });
  }

  static async create(): Promise<Machine> {
    const home = await TempHome.create();
    await chmod(home.path, 0o755); // other users must be able to pass it
    for (const folder of ["var-lib", "run", "units"]) await mkdir(home.join(folder), { mode: 0o755 });
    const users =
      `\nllmctl:x:${serviceUid}:${serviceUid}::/var/lib/llmctl:/usr/sbin/nologin\n` +
      `alice:x:${aliceUid}:${aliceUid}::/run/alice:/bin/sh\n`;
    await writeFile(home.join("passwd"), `${await readFile("/etc/passwd", "utf8")}${users}`);
    await makeFolder(home.join("var-lib/llmctl"), serviceUid);
    await makeFolder(home.join("run/alice"), aliceUid);
    await makeFolder(home.join("run/home"), 0);
    return new Machine(home);
  }

  /** The test's path for a path of the machine, `/var/lib/…` or `/run/…`. */
  outside(path: string): string {
    return this.home.join(
      path
        .replace(/^\/var\/lib(?=\/|$)/, "var-lib")
        .replace(/^\/run(?=\/|$)/, "run")
        .replace(/^\/etc\/systemd\/system/, "units"),
    );
  }

  via(user: User): readonly string[] {
    return user === "root" ? this.#places : [...this.#places, ...asUser(uids[user])];
  }

  /** Runs llmctl with the environment of this user after a login. The service's user has all files in its home. */
  llmctl(user: User, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<RunResult> {
    const homes = { root: "/run/home", service: "/var/lib/llmctl", alice: "/run/alice" };
    const own = { HOME: homes[user], LLMCTL_HOME: user === "service" ? "/var/lib/llmctl" : "" };
    return llmctl(args, { home: this.home, via: this.via(user), env: { ...own, ...env } });
  }

  /** Runs a shell script with the permissions of a user: it can create only files that the user can create. */
  async sh(user: User, script: string): Promise<string> {
    const { stdout } = await execa("/usr/bin/env", [...this.via(user), "sh", "-euc", script], { stdin: "ignore" });
    return stdout;
  }

  /** Writes a profile with the fake server into this user's folder. */
  async writeProfile(user: User, name: string, more: Readonly<Record<string, unknown>> = {}): Promise<void> {
    const path = await this.home.writeFakeProfile(name, {}, more);
    const folder = {
      root: "run/home/.config/llmctl",
      service: "var-lib/llmctl/config",
      alice: "run/alice/.config/llmctl",
    }[user];
    await mkdir(this.home.join(folder, "profiles"), { recursive: true });
    await writeFile(this.home.join(folder, "profiles", `${name}.yaml`), await readFile(path));
    const top = { root: "run/home", service: "var-lib/llmctl", alice: "run/alice" }[user];
    await execa("chown", ["-R", `${uids[user]}:${uids[user]}`, this.home.join(top)]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.home[Symbol.asyncDispose]();
  }
}

async function makeFolder(path: string, uid: number): Promise<void> {
  await mkdir(path, { mode: 0o700 });
  await chown(path, uid, uid);
}
