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
import { printError } from "../screen/print.ts";

const demo = join(packageFolder, "profiles", "demo.yaml");
const lastLines = 20;

/**
 * Starts the demo pair on an installed build, waits until it has drafted, and stops it. It uses folders of its own, so
 * that a running demo of the user is not touched.
 * @returns the result, for people.
 * @throws LlmctlError `demo-failed`, `interrupted`, or as {@link planLaunch}.
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
    for (const line of await readLastRun(last.status.log, lastLines)) printError(quoteLogLine(line));
    throw failed(build, last);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The demo fails when it does not draft, and when the server exits once. */
function strict(profile: Profile, build: string): Profile {
  const { draft, restart } = profile.values;
  const failing = draft && { ...draft, on_mismatch: "fail" as const };
  return {
    ...profile,
    values: { ...profile.values, llama: { build }, draft: failing, restart: { ...restart, policy: "never" } },
  };
}

/** @returns the event of the server being ready; the last event when it never is. */
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
  const { drafting, lastExit, state } = status;
  const reason = lastExit?.message ?? (drafting.state === "off" ? drafting.reason : `it is ${state}`);
  return new LlmctlError("demo-failed", `the demo pair does not run on ${build}: ${reason}`, {
    exit: "failed",
    fix: "see the lines of the server's log above; the current build has not changed",
  });
}
