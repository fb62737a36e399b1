import { stat } from "node:fs/promises";
import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { sealEnv } from "../../llama/plan/seal-env.ts";
import type { PlanSession } from "../../llama/plan/plan-session.ts";
import { type JournalIdentity, journalKey } from "../journal/journal-key.ts";
import { RoundJournal } from "../journal/round-journal.ts";
import type { OnBenchEvent } from "../bench-event.ts";
import { countOf } from "../number-words.ts";
import type { RoundKeeper } from "../rounds/run-rounds.ts";
import type { BenchSetting } from "../servers/plan-setting.ts";
import { describeMachine } from "./describe-machine.ts";

export interface KeeperOptions extends Pick<
  JournalIdentity,
  "purpose" | "promptIds" | "concurrency" | "timing" | "maxTokens"
> {
  /** What is compared; the first one names the journal. */
  readonly settings: readonly [BenchSetting, ...BenchSetting[]];
  readonly session: PlanSession;
}

/**
 * Opens the journal of a measurement: what was measured before with the same build, files, commands and prompts on this
 * machine is in it.
 * @throws LlmctlError as `RoundJournal.open`.
 */
export async function openKeeper({ settings, session, ...identity }: KeeperOptions): Promise<RoundJournal> {
  const [first] = settings;
  const paths = settings.flatMap(({ launch }) => [launch.file, ...launch.files.map(({ path }) => path)]);
  const machine = await describeMachine(first, session);
  const key = journalKey({
    ...identity,
    build: first.launch.build,
    files: await Promise.all([...new Set(paths)].map(readIdentity)),
    commands: await Promise.all(settings.map((setting) => describeCommand(setting, session))),
    machine: [machine.processor, String(machine.processors), String(machine.memoryBytes), ...machine.devices],
  });
  return RoundJournal.open({ data: session.paths.data, key, profile: first.profile.name });
}

/** With the profile's variables, which may choose kernels and devices. They may be secret. */
async function describeCommand({ launch, profile }: BenchSetting, { paths }: PlanSession): Promise<readonly string[]> {
  return [launch.file, ...launch.args, await sealEnv(profile.values.env, paths.data)];
}

async function readIdentity(path: string): Promise<JournalIdentity["files"][number]> {
  try {
    const { size, mtimeMs } = await stat(path);
    return { path, sizeBytes: size, modifiedMs: mtimeMs };
  } catch (cause) {
    if (systemErrorCode(cause) === undefined) throw cause;
    throw new LlmctlError("file-gone", `a file of the measurement is gone: ${String(cause)}`, {
      exit: "missingFile",
      at: path,
      cause,
    });
  }
}

/** Says that a run goes on where an earlier one has ended. */
export function noteEarlier({ rounds }: RoundKeeper, onEvent: OnBenchEvent): void {
  if (rounds.length === 0) return;
  onEvent({ kind: "note", text: `goes on after ${countOf(rounds.length, "round")} measured before` });
}
