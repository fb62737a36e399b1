import { describe, expect, test } from "vitest";
import {
  readCommand,
  readEnvironment,
  renderUnit,
  systemEnvironment,
  type UnitOptions,
} from "../../../src/services/unit.ts";

const options: UnitOptions = {
  name: "coder",
  profilePath: "/etc/llmctl/profiles/coder.yaml",
  dependsOn: [],
  nodePath: "/usr/bin/node",
  execPath: "/usr/lib/node_modules/llmctl/dist/main.js",
  scope: "system",
  stopTimeoutMs: 60_000,
  writable: [],
  environment: {},
};

function linesOf(changes: Partial<UnitOptions> = {}): string[] {
  return renderUnit({ ...options, ...changes }).split("\n");
}

describe("renderUnit", () => {
  test("a unit for the manager of the system, with all that a profile can ask for", () => {
    const whole: UnitOptions = {
      ...options,
      description: "the 50 % quant",
      dependsOn: ["embed"],
      mounts: ["/data/models", "/srv/my models"],
      host: "10.0.0.2",
      priority: { fifo: 90, niceness: -20 },
      writable: ["/run/llama", "/srv/hugging face"],
      environment: systemEnvironment,
    };
    expect(renderUnit(whole)).toMatchInlineSnapshot(`
      "[Unit]
      Description=llmctl coder: the 50 %% quant
      After=network.target network-online.target llmctl-embed.service
      Wants=network-online.target llmctl-embed.service
      RequiresMountsFor=/data/models "/srv/my models"
      StartLimitIntervalSec=10min
      StartLimitBurst=5

      [Service]
      Type=notify
      NotifyAccess=all
      ExecStart=/usr/bin/node /usr/lib/node_modules/llmctl/dist/main.js up --no-fetch /etc/llmctl/profiles/coder.yaml
      Environment=LLMCTL_HOME=/var/lib/llmctl
      Environment=HF_HOME=/var/lib/llmctl/huggingface
      EnvironmentFile=-%E/llmctl/llmctl.env
      KillMode=mixed
      TimeoutStartSec=15min
      TimeoutStopSec=105
      WatchdogSec=60
      Restart=on-failure
      RestartSec=5
      RestartPreventExitStatus=2 3 12 66 69 75 77 78
      OOMPolicy=continue
      LogRateLimitIntervalSec=0
      LimitMEMLOCK=infinity
      LimitRTPRIO=90
      LimitNICE=-20
      LimitCORE=0
      UMask=0077
      User=llmctl
      SupplementaryGroups=video render
      StateDirectory=llmctl
      StateDirectoryMode=0700
      ProtectSystem=strict
      ProtectHome=read-only
      ReadWritePaths=-/run/llama
      ReadWritePaths="-/srv/hugging face"
      PrivateTmp=yes
      CapabilityBoundingSet=
      ProtectKernelTunables=yes
      ProtectKernelModules=yes
      ProtectKernelLogs=yes
      ProtectControlGroups=yes
      ProtectHostname=yes
      ProtectProc=invisible
      KeyringMode=private
      RemoveIPC=yes
      NoNewPrivileges=yes
      RestrictNamespaces=yes
      LockPersonality=yes
      RestrictSUIDSGID=yes
      RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
      SystemCallArchitectures=native
      SystemCallFilter=@system-service
      SystemCallErrorNumber=EPERM

      [Install]
      WantedBy=multi-user.target
      "
    `);
  });

  test("a unit for the manager of a user: no setting that such a manager cannot grant", () => {
    const plain = { ...options, scope: "user", writable: ["/home/u/.cache"] } as const;
    expect(renderUnit(plain)).toMatchInlineSnapshot(`
      "[Unit]
      Description=llmctl coder
      After=network.target
      StartLimitIntervalSec=10min
      StartLimitBurst=5

      [Service]
      Type=notify
      NotifyAccess=all
      ExecStart=/usr/bin/node /usr/lib/node_modules/llmctl/dist/main.js up --no-fetch /etc/llmctl/profiles/coder.yaml
      EnvironmentFile=-%E/llmctl/llmctl.env
      KillMode=mixed
      TimeoutStartSec=15min
      TimeoutStopSec=105
      WatchdogSec=60
      Restart=on-failure
      RestartSec=5
      RestartPreventExitStatus=2 3 12 66 69 75 77 78
      OOMPolicy=continue
      LogRateLimitIntervalSec=0
      LimitMEMLOCK=infinity
      LimitCORE=0
      UMask=0077
      NoNewPrivileges=yes
      RestrictNamespaces=yes
      LockPersonality=yes
      RestrictSUIDSGID=yes
      RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
      SystemCallArchitectures=native
      SystemCallFilter=@system-service
      SystemCallErrorNumber=EPERM
      RestrictRealtime=yes

      [Install]
      WantedBy=default.target
      "
    `);
  });

  test("starts the units of its dependencies first and stops them last", () => {
    expect(linesOf({ dependsOn: ["embed", "rerank"] })).toEqual(
      expect.arrayContaining([
        "After=network.target llmctl-embed.service llmctl-rerank.service",
        "Wants=llmctl-embed.service llmctl-rerank.service",
      ]),
    );
    // A restart of a dependency would restart this unit, and load its model again.
    expect(linesOf({ dependsOn: ["embed"] }).join("\n")).not.toMatch(/^(Requires|Requisite|BindsTo|PartOf)=/m);
  });

  test.each(["127.0.0.1", "127.0.0.2", "localhost", "::1", "0.0.0.0", "::", "/run/llm.sock", "llm.sock"])(
    "waits for no network on %s",
    (host) => {
      expect(linesOf({ host }).join("\n")).not.toContain("network-online");
    },
  );

  test.each(["10.0.0.2", "fe80::1%tun0", "2001:db8::1", "gpu.example.org"])("waits for the network on %s", (host) => {
    expect(linesOf({ host, dependsOn: ["embed"] })).toEqual(
      expect.arrayContaining([
        "After=network.target network-online.target llmctl-embed.service",
        "Wants=network-online.target llmctl-embed.service",
      ]),
    );
  });

  test("needs the folders mounted, each once, with any name", () => {
    expect(linesOf().join("\n")).not.toContain("RequiresMountsFor");
    const mounts = ["/data/models", "/data/models", "/srv/my models", "/srv/50%", `/srv/a"b'c\\d`, "/srv/two\nlines"];
    expect(linesOf({ mounts })).toContain(
      String.raw`RequiresMountsFor=/data/models "/srv/my models" /srv/50%% "/srv/a\"b'c\\d"`,
    );
  });

  test("can be parsed again, with its command and environment", () => {
    const profilePath = '/srv/my "models"/50%$HOME\\n.yaml';
    const environment = { HF_HOME: "/srv/hub $x", LLMCTL_HOME: "/srv/100%", XDG_DATA_HOME: '/a"b\\c' };
    const text = renderUnit({ ...options, profilePath, environment, nodePath: "/opt/node 22/bin/node" });
    expect(readCommand(text)).toEqual(["/opt/node 22/bin/node", options.execPath, "up", "--no-fetch", profilePath]);
    expect(readEnvironment(text)).toEqual(environment);
  });

  test("signals only the supervisor, and gives it more time than the server's", () => {
    expect(linesOf({ stopTimeoutMs: 300_500 })).toEqual(
      expect.arrayContaining(["KillMode=mixed", "TimeoutStopSec=346"]),
    );
  });

  test("quotes words and keeps specifiers and variables from expanding", () => {
    const lines = linesOf({
      profilePath: '/srv/my "models"/50%$HOME\\.yaml',
      environment: { HF_HOME: "/srv/hub $x", LLMCTL_HOME: "/srv/l" },
    });
    expect(lines).toContain(
      "ExecStart=/usr/bin/node /usr/lib/node_modules/llmctl/dist/main.js up --no-fetch " +
        String.raw`"/srv/my \"models\"/50%%$$HOME\\.yaml"`,
    );
    expect(lines).toContain('Environment="HF_HOME=/srv/hub $x"');
    expect(lines).toContain("Environment=LLMCTL_HOME=/srv/l");
  });

  test("keeps a description on one line", () => {
    const lines = linesOf({ description: "first\nExecStart=/bin/false 100%" });
    expect(lines).toContain("Description=llmctl coder: first ExecStart=/bin/false 100%%");
    expect(lines.filter((line) => line.startsWith("ExecStart="))).toHaveLength(1);
  });

  test("keeps a description from continuing on the next line", () => {
    const lines = linesOf({ description: "ends in a backslash \\ \\\\\\", dependsOn: ["embed"] });
    expect(lines).toContain("Description=llmctl coder: ends in a backslash");
    expect(lines).toContain("After=network.target llmctl-embed.service");
  });

  test.each<[string, Partial<UnitOptions>]>([
    ["the path of Node holds U+000A, which a unit cannot say", { nodePath: "/no\nde" }],
    ["the path of Node holds U+0022, which a unit cannot say", { nodePath: '/"/node' }],
    ["HF_HOME holds U+FFFF, which a unit cannot say", { environment: { HF_HOME: "/\uffff" } }],
    ["the path of llmctl holds U+D800, which a unit cannot say", { execPath: "/\ud800.js" }],
    ["the path of the profile holds U+0000, which a unit cannot say", { profilePath: "/a\0.yaml" }],
    ["a folder that the service writes to holds U+000D, which a unit cannot say", { writable: ["/a\rb"] }],
  ])("refuses a value that a unit cannot hold: %s", (message, changes) => {
    expect(() => linesOf(changes)).toThrow(message);
    expect(() => linesOf(changes)).toThrow(expect.objectContaining({ code: "value-unwritable", exit: "config" }));
  });

  test("a folder that only a system unit names cannot spoil a user's", () => {
    expect(linesOf({ scope: "user", writable: ["/a\rb"] })).toEqual(linesOf({ scope: "user" }));
  });

  test("a user may give a priority, too", () => {
    const lines = linesOf({ scope: "user", priority: { fifo: 1, niceness: 0 } });
    expect(lines).toEqual(expect.arrayContaining(["LimitRTPRIO=1", "LimitNICE=0"]));
    expect(lines).not.toContain("RestrictRealtime=yes");
  });
});
