import { spawn, type ChildProcess } from "node:child_process";
import { chown, lchown, link, lstat, mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { identifyProcess } from "../../src/supervisor/state/process-identity.ts";
import { joinPatterns } from "../support/join-patterns.ts";
import { llmctl } from "../support/llmctl.ts";
import { aliceUid, Machine, serviceUid } from "../support/machine.ts";
import { makeStatus } from "../support/make-status.ts";
import { asOrdinaryUser, asUser } from "../support/namespaces.ts";
import { findServers, isAlive, upDetached } from "../support/processes.ts";
import { TempHome } from "../support/temp-home.ts";

/** A file that no command may change, and its original state. */
class Victim {
  readonly path: string;
  #was = "";

  constructor(path: string) {
    this.path = path;
  }

  static async create(path: string): Promise<Victim> {
    const victim = new Victim(path);
    await writeFile(path, "the only copy\n".repeat(1000), { mode: 0o640 });
    victim.#was = await victim.#look();
    return victim;
  }

  async #look(): Promise<string> {
    const { ino, mode, uid, mtimeMs } = await stat(this.path);
    return JSON.stringify([ino, mode, uid, mtimeMs, await readFile(this.path, "utf8")]);
  }

  async expectUntouched(): Promise<void> {
    expect((await this.#look()) === this.#was).toBe(true);
  }
}

/** A process that no command may end. */
function startBystander(via: readonly string[] = []): ChildProcess & { readonly pid: number } {
  const child = spawn("/usr/bin/env", [...via, "sleep", "600"], { stdio: "ignore", detached: true });
  if (child.pid === undefined) throw new Error("sleep could not be started");
  return child as ChildProcess & { readonly pid: number };
}

/** Writes a state and locks that name this process as the server, valid for every check of llmctl. */
async function forgeState(folder: string, name: string, pid: number): Promise<void> {
  const identity = identifyProcess(pid);
  const status = makeStatus({ name, url: "http://127.0.0.1:1", pid, supervisorPid: 999_999 });
  const supervisor = { ...identity, pid: 999_999 };
  await mkdir(join(folder, name), { recursive: true, mode: 0o700 });
  await writeFile(
    join(folder, name, "state.json"),
    JSON.stringify({ status, supervisor, server: identity, stopTimeoutMs: 100 }),
  );
  const note = { holder: supervisor, profile: name, server: { identity, hash: "", stopTimeoutMs: 100 } };
  await writeFile(join(folder, name, "server.lock"), JSON.stringify(note));
  await writeFile(join(folder, name, "lock"), JSON.stringify({ holder: supervisor, profile: name }));
}

// Only root can act as two users.
describe.skipIf(process.getuid?.() !== 0 && process.env["CI"] === undefined)("two users", () => {
  describe("root and the service user", () => {
    let machine: Machine;
    let bystander: ReturnType<typeof startBystander>;
    beforeEach(async () => {
      machine = await Machine.create();
      bystander = startBystander();
    });
    afterEach(async () => {
      bystander.kill("SIGKILL");
      await machine[Symbol.asyncDispose]();
    });

    async function plantAsService(): Promise<Victim> {
      const victim = await Victim.create(machine.home.join("run", "victim"));
      const links = [
        "server.log",
        "server.log.rotating",
        "server.log.1",
        "supervisor.log",
        "lock",
        "server.lock",
        "state.json",
      ];
      await machine.sh(
        "service",
        `for folder in /var/lib/llmctl /var/lib/llmctl/state; do
          mkdir -p $folder/p; ln -s /run $folder/.ports; ln -s /run $folder/.run; ln -s /run $folder/.models
          for file in ${links.join(" ")}; do ln -s /run/victim $folder/p/$file; done
        done`,
      );
      return victim;
    }

    test("root's profiles stay in root's folder, whatever the service user plants", async () => {
      await machine.writeProfile("root", "p");
      const victim = await plantAsService();
      const list = () =>
        machine.sh("root", "find /var/lib/llmctl -printf '%p %l %U %T@\\n'; ls -A /run | grep -v '^llmctl$'");
      const before = await list();
      expect(await machine.llmctl("root", ["up", "-d", "p"])).toMatchObject({ exitCode: 0, stderr: "" });
      expect((await lstat(machine.outside("/var/lib/llmctl-root/p/server.log"))).uid).toBe(0);
      expect((await machine.llmctl("root", ["logs", "p"])).stdout).toContain("--- llmctl: run 1");
      expect((await machine.llmctl("root", ["restart", "p"])).exitCode).toBe(0);
      expect(await machine.llmctl("root", ["down", "p"])).toMatchObject({ exitCode: 0, stdout: 'stopped "p"' });
      expect((await machine.llmctl("root", ["forget", "p"])).exitCode).toBe(0);
      expect(await list()).toBe(before);
      await victim.expectUntouched();
    });

    const writing = ["up -d p", "up p", "down p", "down --all", "restart p", "forget p", "forget --all"];

    test.each(writing)(
      "root's %s in the service's home is refused, and the error has the right command",
      async (line) => {
        const args = line.split(" ");
        await machine.writeProfile("service", "p");
        const victim = await plantAsService();
        const { exitCode, stderr } = await machine.llmctl("root", args, { LLMCTL_HOME: "/var/lib/llmctl" });
        expect(stderr).toMatch(
          joinPatterns(
            /the folder \/var\/lib\/llmctl(?:\/state)? belongs to "llmctl" \(uid 4711\), /,
            /(?:not to you|who could redirect)/,
          ),
        );
        expect(stderr).toContain(`sudo -u llmctl env LLMCTL_HOME=/var/lib/llmctl llmctl ${line}`);
        expect(exitCode).toBe(77);
        await victim.expectUntouched();
        expect(await findServers(machine.home)).toEqual([]);
      },
    );

    test("a forged state that names a process of another user does not end it", async () => {
      await machine.writeProfile("root", "p");
      for (const folder of ["/var/lib/llmctl", "/var/lib/llmctl/state"])
        await forgeState(machine.outside(folder), "p", bystander.pid);
      await machine.sh("root", `chown -R ${serviceUid}:${serviceUid} /var/lib/llmctl`);
      const homes = [{}, { LLMCTL_HOME: "/var/lib/llmctl" }];
      for (const env of homes)
        for (const args of [
          ["down", "p"],
          ["down", "--now", "p"],
          ["up", "-d", "p"],
          ["forget", "p"],
          ["ps"],
          ["status", "p"],
        ]) {
          await machine.llmctl("root", args, env);
          expect(isAlive(bystander.pid), args.join(" ")).toBe(true);
        }
      await machine.llmctl("root", ["down", "p"]);
      expect(isAlive(bystander.pid)).toBe(true);
    });

    test("root sees a service, and other users get the command that shows it", async () => {
      await machine.writeProfile("service", "p");
      await writeFile(
        machine.outside("/etc/systemd/system/llmctl-p.service"),
        "[Service]\nEnvironment=LLMCTL_HOME=/var/lib/llmctl\n",
      );
      expect(await machine.llmctl("service", ["up", "-d", "p"])).toMatchObject({ exitCode: 0, stderr: "" });
      const env = { LLMCTL_HOME: "/var/lib/llmctl" };

      for (const more of [{}, env]) {
        expect((await machine.llmctl("root", ["ps"], more)).stdout).toMatch(/^NAME .* USER\np +ready .* llmctl$/m);
        expect(JSON.parse((await machine.llmctl("root", ["ps", "--json"], more)).stdout)).toMatchObject([
          { name: "p", presence: "live", user: "llmctl", state: "ready" },
        ]);
        const status = await machine.llmctl("root", ["status", "p"], more);
        expect(status.stdout).toMatch(/^name +p\nuser +llmctl\nstate +ready$/m);
        expect(status.exitCode).toBe(0);
        expect((await machine.llmctl("root", ["logs", "p"], more)).stdout).toContain("--- llmctl: run 1");
        expect((await machine.llmctl("root", ["events", "p"], more)).stdout).toContain("ready");
      }
      const command = (words: string) =>
        `sudo -u llmctl env LLMCTL_HOME=/var/lib/llmctl HF_HOME=/var/lib/llmctl/huggingface llmctl ${words}`;
      const runs = { message: expect.stringContaining('"p" is a service of the machine'), code: "other-user" };
      for (const words of ["status p", "logs p", "events p", "down p"]) {
        const { exitCode, stdout } = await machine.llmctl("alice", [
          ...words.split(" "),
          ...(words === "status p" ? ["--json"] : []),
        ]);
        expect(exitCode, words).toBe(77);
        if (words === "status p") expect(JSON.parse(stdout)).toMatchObject({ error: runs });
        else expect((await machine.llmctl("alice", words.split(" "))).stderr).toContain(command(words));
      }
      const listed = await machine.llmctl("alice", ["ps"]);
      expect(listed).toMatchObject({ exitCode: 0, stdout: "nothing is running" });
      expect(listed.stderr).toContain(command("ps"));
      const refused = await machine.llmctl("alice", ["ps"], env);
      expect(refused.stderr).toContain("sudo -u llmctl env LLMCTL_HOME=/var/lib/llmctl llmctl ps");
      expect(refused.exitCode).toBe(77);
      expect((await machine.llmctl("root", ["down", "p"])).stderr).toContain(command("down p"));

      expect(await machine.llmctl("service", ["down", "p"])).toMatchObject({ exitCode: 0, stdout: 'stopped "p"' });
      expect((await machine.llmctl("root", ["status", "p"])).exitCode).toBe(3);
    });

    test("links and pipes of the service user in place of root's files are not followed and do not block", async () => {
      await machine.writeProfile("service", "p");
      await machine.llmctl("service", ["up", "-d", "p"]);
      await machine.llmctl("service", ["down", "p"]);
      await writeFile(machine.home.join("run", "secret"), "TOP SECRET\n", { mode: 0o600 });
      const state = "/var/lib/llmctl/state/p";
      const env = { LLMCTL_HOME: "/var/lib/llmctl" };
      for (const make of ["ln -s /run/secret", "mkfifo", "ln -s /dev/zero", "mkdir"]) {
        await machine.sh(
          "service",
          `cd ${state}; rm -rf *; for f in server.log server.log.1 supervisor.log state.json lock; do ${make} $f; done`,
        );
        for (const args of [
          ["ps", "-a"],
          ["status", "p"],
          ["logs", "p"],
          ["logs", "--previous", "p"],
          ["events", "p"],
        ]) {
          const { exitCode, stdout, stderr } = await machine.llmctl("root", args, env);
          expect(`${stdout}${stderr}`).not.toContain("SECRET");
          expect([0, 3, 66, 77], `${make} ${args.join(" ")}: ${stderr}`).toContain(exitCode);
        }
      }
      await machine.sh("service", `rm -rf ${state}; ln -s /run ${state}`);
      await machine.sh("root", "cp /run/secret /run/server.log");
      const { exitCode, stdout, stderr } = await machine.llmctl("root", ["logs", "p"], env);
      expect(`${stdout}${stderr}`).not.toContain("SECRET");
      expect(stderr).toMatch(/the folder \S+ is a link/);
      expect(exitCode).toBe(77);
      // The folder of all states, and its parent: the link's target is root's, so root would read its own files.
      await machine.sh(
        "root",
        "mkdir -p /run/other/state/p; for f in server supervisor; do cp /run/secret /run/other/state/p/$f.log; done",
      );
      await machine.sh(
        "service",
        "cd /var/lib/llmctl; rm -rf state; ln -s /run/other/state state; ln -s /run/other other",
      );
      for (const LLMCTL_HOME of ["/var/lib/llmctl", "/var/lib/llmctl/other"]) {
        for (const command of ["logs", "events"]) {
          const led = await machine.llmctl("root", [command, "p"], { LLMCTL_HOME });
          expect(`${led.stdout}${led.stderr}`).not.toContain("SECRET");
          expect(led.exitCode).toBe(77);
        }
      }
    });

    test("a socket of the service user that answers anything but a status is not believed", async () => {
      await machine.writeProfile("service", "p");
      await machine.llmctl("service", ["up", "-d", "p"]);
      await machine.llmctl("service", ["down", "p"]);
      const script =
        `import { createServer } from "node:http"; createServer((_, res) => ` +
        `res.end(process.argv[1])).listen("/var/lib/llmctl/run/p.sock", () => console.log("listening"));`;
      const command = [...machine.via("service"), process.execPath, "--input-type=module", "-e", script];
      for (const answer of ["nonsense", "[]", '{"version":1,"name":"p","state":"ready"}']) {
        await machine.sh("service", "mkdir -p /var/lib/llmctl/run; rm -f /var/lib/llmctl/run/p.sock");
        const server = spawn("/usr/bin/env", [...command, answer], { stdio: ["ignore", "pipe", "inherit"] });
        await new Promise((resolve) => server.stdout.once("data", resolve));
        const { exitCode, stdout } = await machine.llmctl("root", ["status", "p"]);
        expect(stdout).toMatch(/^state +stopped$/m);
        expect(exitCode).toBe(3);
        server.kill("SIGKILL");
      }
    });

    test("installing a service follows no link in the service's home, and writes nothing there", async () => {
      await machine.writeProfile("root", "p");
      await machine.sh(
        "service",
        "cd /var/lib/llmctl; ln -s /run config; ln -s /run huggingface; ln -s /run state; ln -s /run data; " +
          "ln -s /run cache",
      );
      const bin = machine.home.join("bin");
      await mkdir(bin);
      for (const tool of ["systemctl", "systemd-sysusers"])
        await writeFile(join(bin, tool), "#!/bin/sh\n", { mode: 0o755 });
      const before = await machine.sh("root", "ls -lRn /var/lib /run");
      const PATH = `${bin}:${process.env["PATH"]}`;
      const { exitCode, stderr } = await machine.llmctl(
        "root",
        ["systemd", "install", "p", "--system", "--from-checkout"],
        { PATH },
      );
      expect(stderr).toBe("");
      expect(exitCode).toBe(0);
      expect(await readdir(machine.outside("/etc/systemd/system"))).toEqual(["llmctl-p.service"]);
      expect(await machine.sh("root", "ls -lRn /var/lib /run")).toBe(before);
    });

    test.each(["plan p", "plan p --json", "check p", "chat p", "up p", "up -d p", "flags"])(
      "root's %s in the service's home runs no program of the service user",
      async (line) => {
        await machine.writeProfile("service", "p", { llama: { binary: "/var/lib/llmctl/bin/llama-server" } });
        const build = { schema: 1, id: "b1", ref: "b1", commit: "c", version: "1", backend: "cpu", portable: false };
        const manifest = JSON.stringify({ ...build, date: "2026-01-01T00:00:00Z" });
        await machine.sh(
          "service",
          `cd /var/lib/llmctl; mkdir -p bin data/llama.cpp/b1
          printf '#!/bin/sh\\nid -u >> /var/lib/llmctl/ran\\n' > bin/llama-server; chmod +x bin/llama-server
          cp bin/llama-server bin/llama-cli; cp -r bin data/llama.cpp/b1; ln -s b1 data/llama.cpp/current
          echo '${manifest}' > data/llama.cpp/b1/manifest.json`,
        );
        const { stdout, stderr } = await machine.llmctl("root", line.split(" "), { LLMCTL_HOME: "/var/lib/llmctl" });
        expect(await machine.sh("root", "cd /var/lib/llmctl; if [ -e ran ]; then cat ran; fi")).toBe("");
        expect(stdout + stderr).toMatch(/belongs to \\?"llmctl\\?" \(uid 4711\)/);
      },
    );

    test("root starts nothing and writes nothing below a folder of another user", async () => {
      await machine.writeProfile("root", "p");
      const profile = "/run/home/.config/llmctl/profiles/p.yaml";
      for (const args of [
        ["up", "-d", profile],
        ["up", profile],
        ["profile", "new", "q", "--extends", "demo"],
      ]) {
        const { exitCode, stderr } = await machine.llmctl("root", args, { LLMCTL_HOME: "/run/alice/new" });
        expect(stderr).toMatch(
          joinPatterns(
            /the folder \/run\/alice belongs to "alice" \(uid 4712\), who could redirect [^]*/,
            /sudo -u alice env LLMCTL_HOME=\/run\/alice\/new llmctl/,
          ),
        );
        expect(exitCode).toBe(77);
      }
      expect(await machine.sh("root", "find /run/alice -user root")).toBe("");
    });

    test("root follows no link of another user whose HOME sudo has kept", async () => {
      await machine.writeProfile("alice", "p");
      await machine.sh(
        "alice",
        "cd /run/alice; mkdir -p .cache .local; ln -s /run/home .local/share; ln -s /run/home .cache/llmctl; " +
          "ln -s /run/home .config/other",
      );
      const env = { HOME: "/run/alice" };
      expect(await machine.llmctl("root", ["up", "-d", "p"], env)).toMatchObject({ exitCode: 0, stderr: "" });
      expect((await machine.llmctl("root", ["down", "p"], env)).exitCode).toBe(0);
      const refused = [
        { args: ["profile", "new", "q", "--extends", "p"], more: {} },
        { args: ["profile", "new", "q", "--extends", "p"], more: { XDG_CONFIG_HOME: "/run/alice/.config/other" } },
        { args: ["profile", "set", "p", "ctx_size=512"], more: {} },
        { args: ["build", "--use", "any"], more: {} },
      ];
      for (const { args, more } of refused) {
        const { exitCode, stderr } = await machine.llmctl("root", args, { ...env, ...more });
        expect(stderr, args.join(" ")).toMatch(/belongs to "alice" \(uid 4712\)[^]*sudo -u alice/);
        expect(exitCode).toBe(77);
      }
      expect(await readdir(machine.outside("/run/home"))).toEqual([]);
      expect(await machine.sh("root", "find /run/alice -user root")).toBe("");
    });
  });

  describe("a file of another user in llmctl's folders", () => {
    let home: TempHome;
    let victim: Victim;
    beforeEach(async () => {
      home = await TempHome.create();
      await home.writeFakeProfile("p");
      victim = await Victim.create(home.join("victim"));
      await mkdir(home.join("state", "p"), { recursive: true, mode: 0o700 });
    });
    afterEach(() => home[Symbol.asyncDispose]());

    const written = ["lock", "server.lock", "server.log", "supervisor.log"];
    const plants: [string, (path: string) => Promise<void>][] = [
      ["a link", (path) => symlink(victim.path, path)],
      ["a hard link", (path) => link(victim.path, path)],
      ["a file of another user's", (path) => writeFile(path, "").then(() => chown(path, serviceUid, serviceUid))],
    ];

    test.each(plants.flatMap(([what, plant]) => written.map((file) => [what, file, plant] as const)))(
      "%s in the place of %s is refused, and nothing is started",
      async (_, file, plant) => {
        await plant(home.join("state", "p", file));
        const { exitCode, stderr } = await llmctl(["up", "-d", "p"], { home });
        expect(stderr).toContain(file);
        expect(exitCode).toBe(77);
        expect(await findServers(home)).toEqual([]);
        await victim.expectUntouched();
      },
    );

    test.each(plants)("%s in the place of the address's lock is refused", async (_, plant) => {
      await home.writeFakeProfile("p", {}, { server: { port: 18_473 } });
      await mkdir(home.join("state", ".ports"), { recursive: true, mode: 0o700 });
      await plant(home.join("state", ".ports", "18473.lock"));
      expect((await llmctl(["up", "-d", "p"], { home })).exitCode).toBe(77);
      await victim.expectUntouched();
    });

    test("a link in the place of the state is replaced, and its target is kept", async () => {
      await symlink(victim.path, home.join("state", "p", "state.json"));
      await upDetached(home, "p");
      await llmctl(["down", "p"], { home });
      expect((await lstat(home.join("state", "p", "state.json"))).isFile()).toBe(true);
      await victim.expectUntouched();
    });

    test("a state of another user is refused", async () => {
      await writeFile(home.join("state", "p", "state.json"), "{}");
      await chown(home.join("state", "p", "state.json"), serviceUid, serviceUid);
      for (const args of [
        ["up", "-d", "p"],
        ["down", "p"],
        ["status", "p"],
      ]) {
        const { exitCode, stderr } = await llmctl(args, { home });
        expect(stderr).toMatch(/the state belongs to another user: [^]*state\.json/);
        expect(exitCode).toBe(77);
      }
    });

    test.each(plants)("the rotation of a log leaves %s in its place alone", async (_, plant) => {
      await home.writeFakeProfile("p", {}, { log: { max_size: "1KB", keep: 2 } });
      await writeFile(home.join("state", "p", "server.log"), "x".repeat(5000));
      for (const name of ["rotating", "1", "2"]) await plant(home.join("state", "p", `server.log.${name}`));
      await upDetached(home, "p");
      await llmctl(["down", "p"], { home });
      expect(await readFile(home.join("state", "p", "server.log.1"), "utf8")).not.toContain("the only copy");
      await victim.expectUntouched();
    });

    test("whole folders of another user are refused, and the user is named", async () => {
      await chown(home.join("state", "p"), serviceUid, serviceUid);
      for (const args of [
        ["up", "-d", "p"],
        ["down", "p"],
        ["forget", "p"],
        ["restart", "p"],
      ]) {
        const { exitCode, stderr } = await llmctl(args, { home });
        expect(stderr).toMatch(/the folder \S+\/state\/p belongs to uid 4711/);
        expect(exitCode).toBe(77);
      }
    });

    test("a parent folder that another user could replace is refused", async () => {
      await chown(home.path, aliceUid, aliceUid);
      for (const args of [
        ["up", "-d", "p"],
        ["down", "p"],
        ["forget", "p"],
      ]) {
        const { exitCode, stderr } = await llmctl(args, { home });
        expect(stderr).toContain(`the folder ${home.path} belongs to uid ${aliceUid}, who could redirect`);
        expect(exitCode).toBe(77);
      }
      await chown(home.path, 0, 0);
    });

    test("another user's link on the path is refused, and one's own is followed", async () => {
      await symlink(home.path, home.join("link"));
      const env = { LLMCTL_HOME: home.join("link") };
      expect((await llmctl(["up", "-d", "p"], { home, env })).exitCode).toBe(0);
      expect((await llmctl(["down", "p"], { home, env })).exitCode).toBe(0);
      await lchown(home.join("link"), aliceUid, aliceUid);
      const { exitCode, stderr } = await llmctl(["up", "-d", "p"], { home, env });
      expect(stderr).toContain(`the link ${home.join("link")} belongs to uid ${aliceUid}`);
      expect(exitCode).toBe(77);
    });

    test("a process in the state and locks that does not hold the server's lock is not the server", async () => {
      const bystander = startBystander();
      const stranger = startBystander(asUser(serviceUid));
      try {
        for (const { pid } of [bystander, stranger]) {
          await forgeState(home.join("state"), "p", pid);
          expect((await llmctl(["ps"], { home })).stdout).not.toContain("orphaned");
          expect((await llmctl(["down", "p"], { home })).exitCode).toBe(3);
          expect((await llmctl(["down", "--now", "--all"], { home })).exitCode).toBe(0);
          await upDetached(home, "p");
          await llmctl(["down", "p"], { home });
          expect(isAlive(pid)).toBe(true);
        }
      } finally {
        for (const one of [bystander, stranger]) one.kill("SIGKILL");
      }
    });
  });

  describe("with mapped user ids", () => {
    let home: TempHome;
    beforeEach(async () => {
      home = await TempHome.create();
      await home.writeFakeProfile("p");
    });
    afterEach(() => home[Symbol.asyncDispose]());

    test.each([
      ["root's folders are ours", () => asOrdinaryUser(), 0],
      [
        "root's folders are nobody's",
        () => [...asUser(aliceUid), "unshare", "--user", `--map-user=${aliceUid}`, `--map-group=${aliceUid}`, "--"],
        aliceUid,
      ],
      ["a user is root", () => [...asUser(aliceUid), "unshare", "--user", "--map-root-user", "--"], aliceUid],
    ])("llmctl works in a container where %s", async (_, via, uid) => {
      await chown(home.path, uid, uid);
      for (const folder of ["config", "config/profiles", "config/profiles/p.yaml"])
        await chown(home.join(folder), uid, uid);
      expect(await llmctl(["up", "-d", "p"], { home, via: via() })).toMatchObject({ exitCode: 0, stderr: "" });
      expect((await llmctl(["ps"], { home, via: via() })).stdout).toMatch(/^p +ready/m);
      expect((await llmctl(["logs", "p"], { home, via: via() })).exitCode).toBe(0);
      expect((await llmctl(["down", "p"], { home, via: via() })).exitCode).toBe(0);
    });
  });
});
