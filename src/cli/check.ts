import { LlmctlError } from "../base/errors.ts";
import { findPaths } from "../base/paths.ts";
import { noDraftAsked, planLaunch } from "../llama/plan-launch.ts";
import { checkPort } from "../supervisor/port-check.ts";
import { fetchStatus } from "../control/client.ts";
import { controlSocketPath } from "../control/socket-path.ts";
import { checkLine, good } from "./check-line.ts";
import { openProfile } from "./context.ts";

/** Does everything of a start but the start, and says what was found. @throws LlmctlError with what would keep it from starting. */
export async function check(nameOrPath: string, json: boolean): Promise<number> {
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
  if (json) {
    const { build, files } = launch;
    process.stdout.write(`${JSON.stringify({ profile: profile.path, build, files, flags, notes, drafting, warnings }, undefined, 2)}\n`);
    return 0;
  }
  good(`profile   ${profile.path}`);
  good(`build     ${launch.build}`);
  good(`files     ${launch.files.map(({ path }) => path).join(`\n${" ".repeat(16)}`)}`);
  good(`flags     ${flags.length} accepted by the binary${notes.length === 0 ? "" : `, ${notes.length} not needed on this build`}`);
  if (drafting.wanted) good("drafting  the two models fit; a running server must still prove it");
  else if (drafting.reason !== noDraftAsked) checkLine("yellow", "off", `drafting  ${drafting.reason}`);
  for (const warning of warnings) checkLine("yellow", "note", warning);
  return 0;
}
