import type { Paths } from "../../base/files/paths.ts";
import { ensureModels } from "../../models/ensure-models.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import { holdStart } from "../run/systemd-reporter.ts";
import { interruptible } from "../screen/interruptible.ts";
import { TerminalReporter } from "./pull-reporter.ts";

interface PrepareOptions {
  readonly paths: Paths;
  readonly fetch: boolean;
  readonly verify: boolean;
}

/**
 * {@link ensureModels} of a command: shows the events on stderr, tells systemd that the start goes on, and stops in an
 * orderly way on Ctrl-C.
 */
export async function prepareModels(profile: Profile, options: PrepareOptions): Promise<void> {
  const start = holdStart(process.env);
  const reporter = new TerminalReporter(process.stderr, start.status);
  try {
    await interruptible((signal) =>
      ensureModels(profile, { ...options, env: process.env, signal, onEvent: reporter.show }),
    );
  } finally {
    reporter.clear();
    start.close();
  }
}
