import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LlmctlError } from "../../base/errors.ts";
import { packageFolder } from "../../base/package-folder.ts";
import type { Paths } from "../../base/files/paths.ts";
import type { StatusEvent } from "../../control/messages.ts";
import { planLaunch } from "../../llama/plan/plan-launch.ts";
import { protocolOf } from "../../llama/server/protocols.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import type { Launch } from "../../supervisor/launch.ts";
import { supervise } from "../../supervisor/supervise.ts";
import { openProfile } from "../options/context.ts";
import { quoteLogLine, readLastRun } from "../../supervisor/log/last-log-lines.ts";

const demo = join(packageFolder, "profiles", "demo.yaml");
const lastLines = 20;

/**
 * Starts the demo pair on an installed build, has it draft, and stops it. It has folders of its own: a demo of the
 * user's that runs is not touched.
 * @returns what came of it, for people.
 * @throws LlmctlError `demo-failed`, `interrupted`, or what `planLaunch` throws.
 */
export async function tryDemo(build: string, paths: Paths): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "llmctl-demo-"));
  try {
    const profile = strict(await openProfile(demo, paths), build);
    const { launch } = await planLaunch(profile, { paths, env: process.env });
    const last = await runUntilReady(launch, { ...paths, runtime: join(folder, "run"), state: join(folder, "state") });
    const { drafting, state } = last.status;
    if (state === "ready" && drafting.state === "on") {
      return `ready, ${drafting.acceptedTokens} of ${drafting.draftTokens} drafted tokens accepted`;
    }
    for (const line of await readLastRun(last.status.log, lastLines)) process.stderr.write(quoteLogLine(line));
    throw failed(build, last);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Not to draft, or to die once, is to fail. */
function strict(profile: Profile, build: string): Profile {
  const { draft, restart } = profile.values;
  const failing = draft && { ...draft, on_mismatch: "fail" as const };
  return {
    ...profile,
    values: { ...profile.values, llama: { build }, draft: failing, restart: { ...restart, policy: "never" } },
  };
}

/** @returns the event that says ready, or the last one. */
async function runUntilReady(launch: Launch, paths: Paths): Promise<StatusEvent> {
  let settle: (event: StatusEvent) => void = () => {};
  const settled = new Promise<StatusEvent>((resolve) => (settle = resolve));
  const supervision = await supervise({
    launch,
    protocol: protocolOf(launch),
    paths,
    onEvent: (event) => {
      if (event.status.state === "ready" || event.end !== undefined) settle(event);
    },
  });
  const stop = (signal: NodeJS.Signals) => supervision.forceDown(signal);
  process.once("SIGINT", stop).once("SIGTERM", stop);
  supervision.start();
  const last = await settled;
  supervision.down('"llmctl upgrade"');
  await supervision.finished;
  process.off("SIGINT", stop).off("SIGTERM", stop);
  return last;
}

function failed(build: string, { status }: StatusEvent): LlmctlError {
  if (status.state === "stopped")
    return new LlmctlError("interrupted", "the demo pair was interrupted", { exit: "interrupted" });
  const reason =
    status.lastExit?.message ?? (status.drafting.state === "off" ? status.drafting.reason : `it is ${status.state}`);
  return new LlmctlError("demo-failed", `the demo pair does not run on ${build}: ${reason}`, {
    exit: "failed",
    fix: "the current build is what it was; see the lines of the server's log above",
  });
}
