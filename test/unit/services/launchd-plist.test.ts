import { expect, test } from "vitest";
import { renderLaunchd } from "../../../src/services/launchd-plist.ts";

const options = {
  name: "coder",
  profilePath: "/Users/u/profiles/coder.yaml",
  nodePath: "/opt/node & co/bin/node",
  execPath: "/opt/llmctl/main.js",
  stopTimeoutMs: 60_500,
  logPath: "/Users/u/llmctl/coder.log",
  environment: { HF_HOME: "/Users/u/<hub>\r" },
};

test("a whole property list", () => {
  const lines = renderLaunchd(options).replaceAll("><", ">\n<");
  expect(lines).toMatchInlineSnapshot(`
    "<?xml version="1.0" encoding="UTF-8"?>
    <!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
    <plist version="1.0">
    <dict>
    <key>Label</key>
    <string>llmctl.coder</string>
    <key>ProgramArguments</key>
    <array>
    <string>/opt/node &amp; co/bin/node</string>
    <string>/opt/llmctl/main.js</string>
    <string>up</string>
    <string>--no-fetch</string>
    <string>/Users/u/profiles/coder.yaml</string>
    </array>
    <key>EnvironmentVariables</key>
    <dict>
    <key>HF_HOME</key>
    <string>/Users/u/&lt;hub&gt;&#13;</string>
    </dict>
    <key>RunAtLoad</key>
    <true/>
    <key>KeepAlive</key>
    <dict>
    <key>SuccessfulExit</key>
    <false/>
    </dict>
    <key>ThrottleInterval</key>
    <integer>30</integer>
    <key>ExitTimeOut</key>
    <integer>106</integer>
    <key>ProcessType</key>
    <string>Interactive</string>
    <key>StandardOutPath</key>
    <string>/Users/u/llmctl/coder.log</string>
    <key>StandardErrorPath</key>
    <string>/Users/u/llmctl/coder.log</string>
    </dict>
    </plist>
    "
  `);
});

test.each([
  ["the path of Node holds U+0001, which a property list cannot say", { nodePath: "/\u0001" }],
  ["the path of llmctl holds U+0000, which a property list cannot say", { execPath: "/\0" }],
  ["the path of the profile holds U+FFFE, which a property list cannot say", { profilePath: "/\ufffe" }],
  ["the path of the log holds U+000B, which a property list cannot say", { logPath: "/\v" }],
  ["HF_HOME holds U+D800, which a property list cannot say", { environment: { HF_HOME: "\ud800" } }],
])("refuses a value that XML cannot hold: %s", (message, changes) => {
  const render = () => renderLaunchd({ ...options, ...changes });
  expect(render).toThrow(message);
  expect(render).toThrow(
    expect.objectContaining({ code: "value-unwritable", exit: "config", fix: "write another value" }),
  );
});
