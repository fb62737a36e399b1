import { exitCodes } from "../../base/exit-codes.ts";
import { exitCodeOf, LlmctlError } from "../../base/errors.ts";
import { findPaths, type Paths } from "../../base/files/paths.ts";
import { parseJson } from "../../base/text/parse-json.ts";
import type { LoadOptions } from "../../profiles/load.ts";
import type { StartEvent } from "../start/start-event.ts";
import { startProfiles } from "../start/start-profiles.ts";
import { startUnit } from "../units/start-unit.ts";
import { isLasting } from "./is-lasting.ts";
import type { PausedProfile, ResumeMessage } from "./pause-message.ts";

interface ResumeOptions {
  readonly load: LoadOptions;
  readonly write: (message: ResumeMessage) => void;
}

/**
 * The process that ends a pause: waits until the process that paused the profiles closes its end of the pipe, in
 * whatever way it ends, and starts them again.
 * @param argument The paused profiles as JSON; those that others depend on come first.
 * @returns the exit code; of several profiles, the first that is not 0.
 */
export async function resumePaused(argument: string, options: ResumeOptions): Promise<number> {
  for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"] as const) process.on(signal, () => undefined);
  const paused = parseJson(argument) as readonly PausedProfile[];
  for await (const _ of process.stdin);
  const codes: number[] = [];
  for (const profile of paused) codes.push(await resumeOrReport(profile, options));
  return codes.find((code) => code !== 0) ?? exitCodes.done.code;
}

async function resumeOrReport(profile: PausedProfile, options: ResumeOptions): Promise<number> {
  const { name } = profile;
  const { write } = options;
  try {
    const code = await resume(profile, findPaths(), options);
    if (code === 0) write({ kind: "running", name });
    else write({ kind: "failed", name, message: `"${name}" did not get ready again`, code });
    return code;
  } catch (error) {
    if (!(error instanceof LlmctlError)) throw error;
    const code = exitCodeOf(error);
    write({ kind: "failed", name, message: error.message, code });
    return code;
  }
}

async function resume({ name, path, scope }: PausedProfile, paths: Paths, options: ResumeOptions): Promise<number> {
  // It was never stopped, or somebody else has started it: that configuration is the wanted one.
  if (await isLasting(name, { paths })) return 0;
  if (scope !== undefined) {
    await startUnit({ name, scope, verb: "start", paths });
    return 0;
  }
  const onEvent = (event: StartEvent): void => {
    if (event.kind === "status") options.write({ kind: "progress", name, message: event.event.message });
  };
  return startProfiles([path], {
    all: false,
    fetch: false,
    verify: false,
    timeoutMs: undefined,
    paths,
    env: process.env,
    load: options.load,
    warn: (message) => options.write({ kind: "progress", name, message }),
    host: { onEvent },
  });
}
