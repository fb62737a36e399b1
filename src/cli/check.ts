import { LlmctlError } from "../base/errors.ts";
import { findPaths } from "../base/paths.ts";
import { noDraftAsked, planLaunch } from "../llama/plan-launch.ts";
import { checkPort } from "../supervisor/port-check.ts";
import { fetchStatus } from "../control/client.ts";
import { controlSocketPath } from "../control/socket-path.ts";
import { openProfile } from "./context.ts";
import { paint } from "./paint.ts";

/** Does everything of a start but the start, and says what was found. @throws LlmctlError with what would keep it from starting. */
export async function check(nameOrPath: string): Promise<number> {
  const paths = findPaths();
  const profile = await openProfile(nameOrPath, paths);
  const { launch, flags, notes, warnings } = await planLaunch(profile, { paths, env: process.env });
  const running = await fetchStatus(controlSocketPath(paths.runtime, profile.name));
  const taken = running === undefined ? await checkPort(launch) : undefined;
  if (taken !== undefined) {
    const fix = taken.fix === undefined ? {} : { fix: taken.fix };
    throw new LlmctlError(taken.kind, taken.message, { exit: taken.exit, at: profile.at("server", "port"), ...fix });
  }
  const { drafting } = launch;
  good(`profile   ${profile.path}`);
  good(`build     ${launch.build}`);
  good(`files     ${launch.files.map(({ path }) => path).join(`\n${" ".repeat(16)}`)}`);
  good(`flags     ${flags.length} accepted by the binary${notes.length === 0 ? "" : `, ${notes.length} not needed on this build`}`);
  if (drafting.wanted) good("drafting  the two models fit; a running server must still prove it");
  else if (drafting.reason !== noDraftAsked) line("yellow", "off", `drafting  ${drafting.reason}`);
  for (const warning of warnings) line("yellow", "note", warning);
  return 0;
}

function good(text: string): void {
  line("green", "ok", text);
}

function line(colour: Parameters<typeof paint>[0], mark: string, text: string): void {
  process.stdout.write(`${paint(colour, mark.padEnd(4), process.stdout)}  ${text}\n`);
}
