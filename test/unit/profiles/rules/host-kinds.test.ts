import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { isLocalHost } from "../../../../src/profiles/rules/host-kinds.ts";
import { ProfileFolder, refuseText } from "../../../support/profile-folder.ts";

async function problemOf(server: Readonly<Record<string, unknown>>) {
  const { problems, exit } = await refuseText(`model: m.gguf\nserver: ${JSON.stringify(server)}\n`);
  expect(problems).toHaveLength(1);
  expect(exit).toBe("config");
  expect(problems[0]?.at).toMatch(/^near\/coder\.yaml:2:/);
  return problems[0];
}

async function load(server: Readonly<Record<string, unknown>>): Promise<unknown> {
  await using folder = await ProfileFolder.create({
    "near/coder.yaml": `model: m.gguf\nserver: ${JSON.stringify(server)}\n`,
  });
  const { host } = (await folder.load("coder")).values.server;
  return host.replace(folder.cwd, "CWD");
}

describe("server.host", () => {
  test.each([
    ["[::1]", "write ::1, without brackets"],
    ["[::]", "write ::, without brackets"],
    ["[fe80::1%eth0]", "write fe80::1%eth0, without brackets"],
    ["[::1]:8080", "write only the address: host: ::1, port: 8080"],
    ["127.0.0.1:8080", "write only the address: host: 127.0.0.1, port: 8080"],
    ["0.0.0.0:80", "write only the address: host: 0.0.0.0, port: 80"],
    ["localhost:8080", "write only the address: host: localhost, port: 8080"],
    ["gpu-box.lan:", "write only the address: host: gpu-box.lan"],
    ["localhost:99999", "write only the address: host: localhost"],
    ["http://127.0.0.1:8080", "write only the address: host: 127.0.0.1, port: 8080"],
    ["HTTP://127.0.0.1", "write only the address: host: 127.0.0.1"],
    ["https://gpu-box.lan:8443/v1", "write only the address: host: gpu-box.lan, port: 8443"],
    ["http://[::1]:8080/", "write only the address: host: ::1, port: 8080"],
    ["tcp://10.0.0.2:80", "write only the address: host: 10.0.0.2, port: 80"],
    ["http://", "write only the address, such as host: 127.0.0.1"],
    ["http://x.sock", "write only the address: host: x.sock"],
    ["unix:///run/coder.sock", "write only the path: /run/coder.sock"],
    ["unix:/run/coder.sock", "write only the path: /run/coder.sock"],
    ["file:///run/coder.sock", "write only the path: /run/coder.sock"],
    ["unix:///run/coder", "write only a path, which ends in .sock"],
    ["/run/coder", "ends in .sock: /run/coder.sock"],
    ["run/coder/", "ends in .sock: run/coder.sock"],
    ["10.0.0.0/8", "write an address such as 127.0.0.1"],
    ["*", "write 0.0.0.0 for all IPv4 addresses"],
    ["gpu box", "write an address such as 127.0.0.1, or a name"],
    ["[::1", "write an address such as 127.0.0.1, or a name"],
    ["/run/a\nb.sock", "choose another path"],
  ])("%j is refused: %s", async (host, fix) => {
    const problem = await problemOf({ host });
    expect(problem?.fix).toContain(fix);
    expect(problem?.message).toContain('"server.host" is');
  });

  test("with a login shows no password", async () => {
    const problem = await problemOf({ host: "http://ada:secret@127.0.0.1:80" });
    expect(JSON.stringify(problem)).not.toContain("secret");
    expect(problem?.fix).toBe("write only the address: host: 127.0.0.1, port: 80");
  });

  test.each(["127.0.0.1", "::1", "::", "fe80::1%eth0", "localhost", "gpu-box", "gpu_box.lan", "0.0.0.0"])(
    "%s is taken unchanged",
    async (host) => {
      expect(await load({ host, port: 8001 })).toBe(host);
    },
  );

  test.each([
    ["coder.sock", "CWD/near/coder.sock"],
    ["run/coder.sock", "CWD/near/run/coder.sock"],
    ["../a b/ö.sock", "CWD/a b/ö.sock"],
    ["~/coder.sock", "/home/ada/coder.sock"],
    ["/run/coder.sock", "/run/coder.sock"],
  ])("%s is the path of a socket", async (host, path) => {
    expect(await load({ host })).toBe(path);
    expect(await load({ host, port: "auto" })).toBe(path);
  });

  test("may be a path of at most 103 bytes", async () => {
    const path = (bytes: number) => `/${"ö".repeat((bytes - 6 - (bytes % 2)) / 2)}${"x".repeat(bytes % 2)}.sock`;
    expect(Buffer.byteLength(path(103))).toBe(103);
    expect(await load({ host: path(103) })).toBe(path(103));
    const problem = await problemOf({ host: path(104) });
    expect(problem?.message).toContain("is a path of 104 bytes, but the path of a unix socket has at most 103");
    expect(problem?.fix).toContain("shorter");
  });

  test("that is a socket has no port", async () => {
    const problem = await problemOf({ host: "/run/coder.sock", port: 8001 });
    expect(problem?.message).toBe('"server.port" is 8001, but "server.host" is a unix socket, which has no port');
    expect(problem?.fix).toContain("port: auto");
  });

  test("of a worker is no socket", async () => {
    await using folder = await ProfileFolder.create({
      "near/coder.yaml": "kind: rpc-worker\nserver: { host: /run/worker.sock, port: 50052 }\n",
    });
    const { problems } = await folder.refuse("coder");
    expect(problems.map(({ message }) => message)).toEqual([
      'a worker cannot listen on a unix socket, "/run/worker.sock"',
    ]);
  });

  test("from the environment is checked as well", async () => {
    await using folder = await ProfileFolder.create({
      "near/coder.yaml": "model: m.gguf\nserver: { host: '${env:WHERE}' }\n",
    });
    expect(join(folder.cwd, "near/x.sock")).toBe((await folder.load("coder", { WHERE: "x.sock" })).values.server.host);
    expect((await folder.refuse("coder", { WHERE: "[::1]" })).fix).toContain("without brackets");
  });
});

test.each([
  [
    true,
    ["127.0.0.1", "127.8.9.10", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "localhost", "LocalHost", "/run/x.sock"],
  ],
  [
    false,
    [
      "0.0.0.0",
      "::",
      "10.0.0.2",
      "192.168.1.2",
      "fe80::1%eth0",
      "2001:db8::1",
      "gpu-box",
      "localhost.example",
      "127.0.0.1.example",
    ],
  ],
])("is local: %s of %j", (is, hosts) => {
  expect(hosts.filter((host) => isLocalHost(host) !== is)).toEqual([]);
});
