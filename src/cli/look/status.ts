import { exitCodes } from "../../base/exit-codes.ts";
import { describeFix, type Fix } from "../../base/fix.ts";
import { findPaths } from "../../base/files/paths.ts";
import { printableSentence } from "../../base/text/printable.ts";
import { formatDuration } from "../../base/text/units.ts";
import type { Status, TrafficStatus } from "../../control/messages.ts";
import { describeSpeedup } from "../../llama/traffic/draft-guard-texts.ts";
import { describeDrafting } from "../../llama/server/draft-proof-texts.ts";
import { describeLoad } from "../../supervisor/describe-state.ts";
import { notRunning } from "../../fleet/not-running.ts";
import { jsonText } from "../screen/json-text.ts";
import { isSinceKnown, type ProfileState } from "../../supervisor/state/profile-states.ts";
import { describeAsJson, describePresence } from "./ps.ts";
import { print } from "../screen/print.ts";

/**
 * Shows one profile.
 * @returns 0 while its supervisor runs, else the code of "not running".
 * @throws LlmctlError `not-running` when it never ran.
 */
export async function status(name: string, json: boolean): Promise<number> {
  const { readStateOfAnyone } = await import("../../fleet/foreign-states.ts");
  const state = await readStateOfAnyone(findPaths(), name);
  if (state === undefined) throw notRunning(name);
  print(json ? jsonText(describeAsJson(state)) : describe(state));
  return state.presence === "gone" ? exitCodes.notRunning.code : 0;
}

function describe({ presence, status: known, user }: ProfileState): string {
  const running = presence !== "gone";
  const isDead = describePresence(presence, known.state) === "dead";
  const rows: [string, string | undefined][] = [
    ["name", known.name],
    ["user", user],
    ["state", describePresence(presence, known.state, known.load === null ? "" : describeLoad(known.load))],
    [
      "since",
      isDead || !isSinceKnown(known)
        ? undefined
        : `${known.since} (${formatDuration(Date.now() - Date.parse(known.since))})`,
    ],
    ["url", running ? (known.url ?? undefined) : undefined],
    ["pid", running ? describePids(known) : undefined],
    ["drafting", running ? describeDrafting(known.drafting) : undefined],
    ["speed", running ? describeSpeed(known) : undefined],
    ["speedup", running && known.draftingSpeedup != null ? describeSpeedup(known.draftingSpeedup) : undefined],
    ["last 10 min", running ? describeTraffic(known.traffic?.lastTenMinutes) : undefined],
    ["in all", running ? describeTraffic(known.traffic?.sinceStart) : undefined],
    ["load time", known.loadMs === null || !running ? undefined : formatDuration(known.loadMs)],
    ["restarts", String(known.restarts)],
    ["last exit", isDead ? "its supervisor was killed, or the machine went down" : describeExit(known.lastExit)],
    ["waiting", running ? known.waitingFor?.message : undefined],
    ["fix", describeNextStep(known, isDead)],
    [
      "next start",
      known.retryInMs === null || presence !== "live" ? undefined : `in ${formatDuration(known.retryInMs)}`,
    ],
    ["build", known.build || undefined],
    ["profile", known.profile || undefined],
    ["log", known.log || undefined],
    ...known.warnings.map((text): [string, string] => ["warning", text]),
  ];
  return rows
    .flatMap(([key, value]) => (value === undefined ? [] : [`${key.padEnd(13)}${printableSentence(value)}\n`]))
    .join("");
}

function describePids({ pid, supervisorPid }: Status): string | undefined {
  const supervisor = supervisorPid === 0 ? "" : ` (supervisor ${supervisorPid})`;
  return pid === null && supervisor === "" ? undefined : `${pid ?? "-"}${supervisor}`;
}

/** The last fix of a killed supervisor is older than its end. */
function describeNextStep({ name, waitingFor, lastExit }: Status, isDead: boolean): string | undefined {
  const fix: Fix | null | undefined = isDead ? { run: ["up", name] } : (waitingFor ?? lastExit)?.fix;
  return fix == null ? undefined : describeFix(fix);
}

function describeExit(exit: Status["lastExit"]): string | undefined {
  return exit === null ? undefined : `${exit.message} (${exit.time})`;
}

/** The speed of the proof request, with drafting and without. */
function describeSpeed({ tokensPerSecond: speed, baselineTokensPerSecond: baseline }: Status): string | undefined {
  if (speed === null) return undefined;
  const compared = baseline === null ? "" : `, ${baseline.toFixed(1)} without a draft`;
  return `${speed.toFixed(1)} tokens/s in the proof request${compared}`;
}

/** Requests of clients: `1200 tokens, 35.1 tokens/s, 77 % of drafted tokens accepted, 3.9 tokens a step`. */
function describeTraffic(traffic: TrafficStatus | undefined): string | undefined {
  if (traffic === undefined || traffic.tokens === 0) return undefined;
  const { tokens, tokensPerSecond, acceptanceRate, meanAcceptedLength } = traffic;
  return [
    `${tokens} tokens`,
    ...(tokensPerSecond === null ? [] : [`${tokensPerSecond.toFixed(1)} tokens/s`]),
    ...(acceptanceRate === null ? [] : [`${Math.round(100 * acceptanceRate)} % of drafted tokens accepted`]),
    ...(meanAcceptedLength === null ? [] : [`${meanAcceptedLength.toFixed(1)} tokens a step`]),
  ].join(", ");
}
