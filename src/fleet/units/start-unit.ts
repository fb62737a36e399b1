import { setTimeout as sleep } from "node:timers/promises";
import { LlmctlError } from "../../base/errors.ts";
import { describeFix } from "../../base/fix.ts";
import type { Paths } from "../../base/files/paths.ts";
import type { Status } from "../../control/messages.ts";
import { unitName, type UnitScope } from "../../services/unit.ts";
import { readStateOfAnyone } from "../foreign-states.ts";
import { showUnit, systemctl } from "../../services/systemctl.ts";
import { findLastFailure } from "./unit-failure.ts";

interface StartUnitOptions {
  readonly name: string;
  readonly scope: UnitScope;
  readonly verb: "start" | "restart";
  /** The folders of the service. */
  readonly paths: Paths;
}

/** `systemctl start` would report the end of the job, but with a service that waits it may stay for days. */
const lookEveryMs = 200;

/**
 * Starts a unit and waits until it is ready, however long the load takes. A service that waits for something that is
 * not there is not waited for.
 * @throws LlmctlError `service-failed`, `service-waits` when the service waits for something that is not there,
 *   `systemctl-failed`.
 */
export async function startUnit(options: StartUnitOptions): Promise<void> {
  const { name, scope, verb, paths } = options;
  const unit = unitName(name);
  await systemctl(scope, [verb, "--no-block", unit]);
  for (;;) {
    const shown = await showUnit(scope, name, [
      "Job",
      "ActiveState",
      "SubState",
      "NRestarts",
      "Result",
      "ExecMainStatus",
    ]);
    if ((shown.get("Job") || "0") === "0") {
      if (shown.get("ActiveState") === "active") return;
      throw await notStarted(options, shown);
    }
    const waitingFor = await findWait(name, paths);
    if (waitingFor != null) throw waits(options, waitingFor);
    await sleep(lookEveryMs);
  }
}

/** @returns undefined also where the supervisor is busy, or refuses the caller. */
async function findWait(name: string, paths: Paths): Promise<Status["waitingFor"]> {
  try {
    const state = await readStateOfAnyone(paths, name);
    return state?.presence === "live" ? state.status.waitingFor : undefined;
  } catch (error) {
    if (error instanceof LlmctlError) return undefined;
    throw error;
  }
}

async function notStarted(
  { name, scope, paths }: StartUnitOptions,
  shown: ReadonlyMap<string, string>,
): Promise<LlmctlError> {
  const failure = await findLastFailure(paths, name, shown);
  const state = `${shown.get("ActiveState")} (${shown.get("SubState")})`;
  return new LlmctlError(
    "service-failed",
    `${unitName(name)} is ${state}${failure === undefined ? "" : `: ${failure.message}`}`,
    {
      exit: "unavailable",
      fix: failure?.fix ?? { before: "see", run: ["systemd", "status", name, `--${scope}`] },
    },
  );
}

function waits({ name, scope }: StartUnitOptions, { message, fix }: NonNullable<Status["waitingFor"]>): LlmctlError {
  const stop = `systemctl ${scope === "user" ? "--user " : ""}stop ${unitName(name)}`;
  return new LlmctlError("service-waits", `${unitName(name)} waits: ${message}`, {
    exit: "unavailable",
    fix: `${fix === null ? "" : `${describeFix(fix)}; `}it starts by itself when nothing is missing any more, or stop it: ${stop}`,
  });
}
