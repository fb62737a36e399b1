import { describe, expect, test } from "vitest";
import { renderUnit, type UnitOptions } from "../../../src/systemd/unit.ts";

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
  test("runs the profile in the foreground, with readiness", () => {
    const lines = linesOf();
    expect(lines).toContain(
      "ExecStart=/usr/bin/node /usr/lib/node_modules/llmctl/dist/main.js up --no-fetch /etc/llmctl/profiles/coder.yaml",
    );
    expect(lines).toContain("Type=notify");
    expect(lines).toContain("NotifyAccess=all");
  });

  test("has the units of what it depends on started first and stopped last", () => {
    expect(linesOf()).toContain("After=network.target");
    expect(linesOf().join("\n")).not.toContain("Requires=");
    expect(linesOf({ dependsOn: ["embed", "rerank"] })).toEqual(
      expect.arrayContaining([
        "After=network.target llmctl-embed.service llmctl-rerank.service",
        "Requires=llmctl-embed.service llmctl-rerank.service",
      ]),
    );
  });

  test("signals only the supervisor and leaves it time beyond the server's own", () => {
    expect(linesOf({ stopTimeoutMs: 300_500 })).toEqual(expect.arrayContaining(["KillMode=mixed", "TimeoutStopSec=346"]));
  });

  test("starts nothing again after an exit that a new start cannot mend", () => {
    expect(linesOf()).toContain("RestartPreventExitStatus=2 12 66 69 75 77 78");
  });

  test("quotes words and keeps specifiers and variables from expanding", () => {
    const lines = linesOf({
      profilePath: '/srv/my "models"/50%$HOME\\.yaml',
      environment: { HF_HOME: "/srv/hub $x", LLMCTL_HOME: "/srv/l" },
    });
    expect(lines).toContain(
      String.raw`ExecStart=/usr/bin/node /usr/lib/node_modules/llmctl/dist/main.js up --no-fetch "/srv/my \"models\"/50%%$$HOME\\.yaml"`,
    );
    expect(lines).toContain('Environment="HF_HOME=/srv/hub $x"');
    expect(lines).toContain("Environment=LLMCTL_HOME=/srv/l");
  });

  test("keeps a description from starting another line", () => {
    const lines = linesOf({ description: "first\nExecStart=/bin/false 100%" });
    expect(lines).toContain("Description=llmctl coder: first ExecStart=/bin/false 100%%");
    expect(lines.filter((line) => line.startsWith("ExecStart="))).toHaveLength(1);
  });

  test("a system unit has its own folders and a read-only view of the rest", () => {
    const lines = linesOf({ writable: ["/root/.cache/llmctl", "/srv/hugging face"] });
    expect(lines).toEqual(expect.arrayContaining(["StateDirectory=llmctl", "ProtectSystem=strict", "WantedBy=multi-user.target"]));
    expect(lines).toContain("ReadWritePaths=-/root/.cache/llmctl");
    expect(lines).toContain('ReadWritePaths="-/srv/hugging face"');
  });

  test("a user unit asks for nothing that a user's manager may not do", () => {
    const text = renderUnit({ ...options, scope: "user", writable: ["/home/u/.cache"] });
    expect(text).not.toMatch(/^(CapabilityBoundingSet|Protect\w+|PrivateTmp|ReadWritePaths|StateDirectory|RuntimeDirectory)/m);
    expect(text).toContain("WantedBy=default.target");
    expect(text).toContain("NoNewPrivileges=yes");
  });

  test("a priority that needs a right brings the limits for it; else real-time scheduling is shut out", () => {
    const lines = linesOf({ priority: { fifo: 90, niceness: -20 } });
    expect(lines).toEqual(expect.arrayContaining(["LimitRTPRIO=90", "LimitNICE=-20"]));
    expect(lines).not.toContain("RestrictRealtime=yes");
    expect(linesOf()).toContain("RestrictRealtime=yes");
    expect(linesOf().join("\n")).not.toContain("LimitRTPRIO");
  });

  test("never asks for what stops Node or hides a GPU", () => {
    expect(renderUnit(options)).not.toMatch(/^(MemoryDenyWriteExecute|PrivateDevices|ProcSubset)/m);
  });
});
