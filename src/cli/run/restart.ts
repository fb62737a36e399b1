import { findPaths } from "../../base/files/paths.ts";
import { restartProfiles } from "../../fleet/restart-profiles.ts";
import { findLoadOptions } from "../options/context.ts";
import { StartScreen } from "../screen/start-screen.ts";

interface RestartOptions {
  /** All whose supervisors run, in place of names. */
  readonly all: boolean;
  readonly timeoutMs: number | undefined;
}

/** `restart`: stops servers and starts them as their profiles now say. @returns the exit code. */
export function restart(namesOrPaths: readonly string[], options: RestartOptions): Promise<number> {
  const paths = findPaths();
  const screen = new StartScreen();
  return restartProfiles(namesOrPaths, {
    ...options,
    paths,
    env: process.env,
    load: findLoadOptions(paths),
    onEvent: (event) => screen.show(event),
  });
}
