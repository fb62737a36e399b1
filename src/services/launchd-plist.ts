import { codeOf } from "../base/text/control-characters.ts";
import { expectWritable } from "./expect-writable.ts";

/** Values of a property list; all paths are absolute. */
export interface LaunchdOptions {
  readonly name: string;
  readonly profilePath: string;
  readonly nodePath: string;
  /** The program that Node runs: llmctl's `main.js`. */
  readonly execPath: string;
  readonly stopTimeoutMs: number;
  /** File for the supervisor's output; the server has its own log. */
  readonly logPath: string;
  readonly environment: Readonly<Record<string, string>>;
}

/** Time for the supervisor to kill the server after the stop timeout, and to see it gone. */
const stopMarginMs = 45_000;

/**
 * Property list of an agent that runs one profile in the foreground. Untested on macOS. launchd cannot exclude exit
 * codes from restarting: an agent with a permanent failure is started again every 30 s.
 * @throws LlmctlError `value-unwritable` for a value that XML cannot express.
 * @see launchd.plist(5)
 */
export function renderLaunchd(options: LaunchdOptions): string {
  expectAllWritable(options);
  const command = [options.nodePath, options.execPath, "up", "--no-fetch", options.profilePath];
  const entries: readonly (readonly [string, string])[] = [
    ["Label", string(`llmctl.${options.name}`)],
    ["ProgramArguments", `<array>${command.map(string).join("")}</array>`],
    [
      "EnvironmentVariables",
      dictionary(Object.entries(options.environment).map(([key, value]) => [key, string(value)])),
    ],
    ["RunAtLoad", "<true/>"],
    ["KeepAlive", dictionary([["SuccessfulExit", "<false/>"]])],
    ["ThrottleInterval", "<integer>30</integer>"],
    ["ExitTimeOut", `<integer>${Math.ceil((options.stopTimeoutMs + stopMarginMs) / 1000)}</integer>`],
    // By default launchd throttles background processes.
    ["ProcessType", string("Interactive")],
    ["StandardOutPath", string(options.logPath)],
    ["StandardErrorPath", string(options.logPath)],
  ];
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
${dictionary(entries)}
</plist>
`;
}

/** Characters that XML 1.0 cannot express even by an escape. */
// oxlint-disable-next-line no-control-regex -- control characters are the subject
const noXml = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff\p{Cs}]/u;

function expectAllWritable({ nodePath, execPath, profilePath, logPath, environment }: LaunchdOptions): void {
  const paths = { Node: nodePath, llmctl: execPath, "the profile": profilePath, "the log": logPath };
  for (const [what, text] of Object.entries(paths))
    expectWritable({ owner: `the path of ${what}`, text }, "a property list", noXml);
  for (const [owner, text] of Object.entries(environment)) expectWritable({ owner, text }, "a property list", noXml);
}

function dictionary(entries: readonly (readonly [string, string])[]): string {
  return `<dict>\n${entries.map(([key, value]) => `<key>${escape(key)}</key>${value}\n`).join("")}</dict>`;
}

function string(text: string): string {
  return `<string>${escape(text)}</string>`;
}

function escape(text: string): string {
  const safe = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  // A carriage return would be read as a line feed.
  return safe.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]/gu, (character) => `&#${codeOf(character)};`);
}
