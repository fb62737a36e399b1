import { LlmctlError } from "../../base/errors.ts";
import { findMemoryNeed } from "../../llama/plan/memory-need.ts";
import type { PlanSession } from "../../llama/plan/plan-session.ts";
import { listProfileStates } from "../../supervisor/state/profile-states.ts";
import type { BenchSetting } from "./plan-setting.ts";
import { describeShortage, findRoom, type Room, type ServerNeed, type Shortage } from "./room-for-servers.ts";

/**
 * Whether the servers of these settings can run at the same time.
 * @returns undefined where they can, else why they take turns, for people.
 * @throws LlmctlError `bench-no-memory` where not even one of them has room beside what runs.
 */
export async function findWhyInTurns(
  settings: readonly BenchSetting[],
  session: PlanSession,
): Promise<string | undefined> {
  // An RPC worker serves one server at a time.
  if (settings.some(({ launch }) => launch.rpcWorkers.length > 0)) return "a worker serves one server at a time";
  const room = await askRoom(settings, session);
  if (room.fits === "none") throw await noMemory(room.shortage, session);
  return room.fits === "all" ? undefined : room.why;
}

async function askRoom(settings: readonly BenchSetting[], session: PlanSession): Promise<Room> {
  const needs: ServerNeed[] = [];
  for (const setting of settings) needs.push(await findNeed(setting, session));
  const usesDevices = await Promise.all(settings.map((setting) => usesDevice(setting, session)));
  return findRoom(needs, usesDevices.includes(true));
}

async function findNeed({ label, profile, launch }: BenchSetting, session: PlanSession): Promise<ServerNeed> {
  const { mmap, mlock } = profile.values;
  return {
    label,
    uses: await findMemoryNeed(profile, session),
    fileBytes: launch.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    isMapped: mmap !== false && mlock !== true,
  };
}

async function usesDevice({ profile, launch }: BenchSetting, session: PlanSession): Promise<boolean> {
  if (profile.values.gpu_layers === 0) return false;
  return (await session.listDevices(launch.file, launch.env)).length > 0;
}

async function noMemory(shortage: Shortage, { paths }: PlanSession): Promise<LlmctlError> {
  const states = await listProfileStates(paths);
  const running = states.flatMap(({ name, presence }) => (presence === "live" ? [name] : []));
  const message = `there is no room for a server to measure: ${describeShortage(shortage)}`;
  const options = running.map((name) => `--replace ${name}`).join(" ");
  return new LlmctlError("bench-no-memory", message, {
    exit: "busy",
    ...(running.length === 0 ? {} : { at: `running: ${running.join(", ")}` }),
    fix:
      running.length === 0
        ? `stop what uses ${shortage.device}, or measure a profile with a smaller ctx_size`
        : `add ${options}: what it names stops for the time of the measurement, and runs again afterwards`,
  });
}
